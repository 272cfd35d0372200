import { main } from '../program.js';
import { imageUnpacker } from './program.js';

await main(imageUnpacker);
