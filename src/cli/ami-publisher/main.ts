import { main } from '../program.js';
import { amiPublisher } from './program.js';

void main(amiPublisher);
