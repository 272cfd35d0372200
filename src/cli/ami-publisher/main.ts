import { letBuffersGoEarly } from '../../unpacker/tune-v8.js';
import { main } from '../program.js';
import { amiPublisher } from './program.js';

letBuffersGoEarly();
void main(amiPublisher);
