import { keepHeapSmall } from '../../unpacker/tune-v8.js';
import { main } from '../program.js';
import { imagetool } from './program.js';

keepHeapSmall();
void main(imagetool);
