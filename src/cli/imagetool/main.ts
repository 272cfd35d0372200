import { main } from '../program.js';
import { imagetool } from './program.js';

void main(imagetool);
