import { main } from '../program.js';
import { imageUnpacker } from './program.js';

void main(imageUnpacker);
