import { main } from '../program.js';
import { amiPublisher } from './program.js';

await main(amiPublisher);
