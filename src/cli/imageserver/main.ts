import { main } from '../program.js';
import { imageserver } from './program.js';

await main(imageserver);
