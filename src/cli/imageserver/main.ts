import { main } from '../program.js';
import { imageserver } from './program.js';

void main(imageserver);
