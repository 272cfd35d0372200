import type { Plot } from '../plot.js';
import { mediansOf } from '../report.js';
import type { Task, TaskScores } from '../task.js';
import type { Workshop } from '../workshop.js';
import { ourTool, peer, SYNC } from './apply.js';

const TOOLS = ['image-unpacker', 'rsync'] as const;
const SCALES = [
  { times: 1, from: 'G1', to: 'H1' },
  { times: 2, from: 'G2', to: 'H2' },
  { times: 4, from: 'G4', to: 'H4' },
] as const;

/** The same change is made to a tree, and to one twice and four times as large: what it costs should not grow. */
export function scaleSuite(workshop: Workshop): Task[] {
  const contestants = [
    ...SCALES.map(({ times, from, to }) => ({
      ...ourTool(workshop, from, to),
      tool: toolAt('image-unpacker', times),
    })),
    ...SCALES.map(({ times, from, to }) => peer(workshop, from, to, toolAt('rsync', times), SYNC)),
  ];
  const title = 'apply the same change to a tree of 1x, 2x and 4x the content, cold';
  return [{ title, base: toolAt('image-unpacker', 1), contestants }];
}

function toolAt(tool: (typeof TOOLS)[number], times: number): string {
  return `${tool}, ${String(times)}x`;
}

/** How the processor seconds grow with the content. */
export function plotScale([task]: readonly TaskScores[]): Plot {
  const lines = TOOLS.map(tool => ({
    name: tool,
    points: SCALES.flatMap(({ times }) => {
      const score = task?.scores.find(each => each.tool === toolAt(tool, times));
      const cost = score && mediansOf(score.costs);
      return cost === undefined ? [] : [{ x: times, y: cost.cpu }];
    }),
  }));
  return {
    title: 'The same change to more and more content',
    x: 'content, as a multiple',
    y: 'processor seconds',
    lines,
  };
}
