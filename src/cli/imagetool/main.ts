import { main } from '../program.js';
import { imagetool } from './program.js';

await main(imagetool);
