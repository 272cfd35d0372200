import { keepHeapSmall } from '../../unpacker/tune-v8.js';
import { main } from '../program.js';
import { amiPublisher } from './program.js';

keepHeapSmall();
void main(amiPublisher);
