import { html as css } from './html.js';

/**
 * The look of a report: light or dark as the reader's system is, and on paper. Colours of stages are told apart by
 * those who see colours differently (Okabe and Ito), and black can be read on each.
 */
export const STYLE = css`
  :root {
    color-scheme: light dark;
    --page: #fff;
    --text: #1a1c1e;
    --weak: #5a6067;
    --line: #d5d9de;
    --band: #f4f6f8;
    --bad: #b3261e;
    --good: #1b6e3c;
  }
  @media (prefers-color-scheme: dark) {
    :root {
      --page: #15181b;
      --text: #e6e8ea;
      --weak: #a3aab2;
      --line: #3a4047;
      --band: #1f2327;
      --bad: #ff8a80;
      --good: #7fd6a0;
    }
  }
  * {
    box-sizing: border-box;
  }
  body {
    margin: 0 auto;
    max-width: 100rem;
    padding: 1.5rem;
    background: var(--page);
    color: var(--text);
    font:
      15px/1.45 system-ui,
      sans-serif;
  }
  h1 {
    font-size: 1.5rem;
    margin: 0 0 0.25rem;
    overflow-wrap: anywhere;
  }
  h2 {
    font-size: 1.15rem;
    margin: 2rem 0 0.5rem;
  }
  h3 {
    font-size: 1rem;
    margin: 1.25rem 0 0.5rem;
  }
  p {
    margin: 0.25rem 0 0.5rem;
  }
  code,
  .id {
    font-family: ui-monospace, monospace;
    font-size: 0.9em;
    overflow-wrap: anywhere;
  }
  dl {
    display: grid;
    grid-template-columns: max-content 1fr;
    gap: 0.15rem 1.25rem;
    margin: 1rem 0;
  }
  dt,
  .weak {
    color: var(--weak);
  }
  dd {
    margin: 0;
    overflow-wrap: anywhere;
  }
  .scroll {
    overflow-x: auto;
  }
  table {
    border-collapse: collapse;
    width: 100%;
  }
  caption {
    text-align: left;
    color: var(--weak);
    padding-bottom: 0.25rem;
  }
  th,
  td {
    text-align: left;
    vertical-align: top;
    padding: 0.3rem 0.75rem 0.3rem 0;
    border-bottom: 1px solid var(--line);
  }
  th {
    font-weight: 600;
  }
  thead th {
    white-space: nowrap;
  }
  tbody th {
    font-weight: 500;
    overflow-wrap: anywhere;
    min-width: 11rem;
  }
  .number {
    text-align: right;
    font-variant-numeric: tabular-nums;
    white-space: nowrap;
  }
  .good {
    color: var(--good);
  }
  .bad {
    color: var(--bad);
  }
  td.id div {
    white-space: nowrap;
  }
  .state {
    white-space: nowrap;
    font-weight: 600;
  }
  .timeline {
    table-layout: fixed;
    min-width: 44rem;
  }
  .timeline th:first-child {
    width: 17rem;
  }
  .timeline .number {
    width: 6rem;
  }
  .track {
    position: relative;
    height: 1.35rem;
    background: var(--band);
    background-image: repeating-linear-gradient(to right, var(--line) 0 1px, transparent 1px 25%);
  }
  .bar {
    position: absolute;
    top: 0.15rem;
    bottom: 0.15rem;
    min-width: 3px;
    border-radius: 2px;
    overflow: hidden;
    white-space: nowrap;
    padding-left: 0.3rem;
    color: #000;
    font-size: 0.72rem;
    line-height: 1.05rem;
  }
  .narrow {
    padding: 0;
  }
  .failed {
    outline: 2px solid var(--bad);
  }
  .unended {
    border-right: 3px dotted var(--bad);
  }
  .axis {
    display: flex;
    justify-content: space-between;
    font-weight: 400;
    color: var(--weak);
    font-variant-numeric: tabular-nums;
  }
  .legend {
    display: flex;
    flex-wrap: wrap;
    gap: 0.25rem 1.25rem;
    padding: 0;
    margin: 0.5rem 0;
    list-style: none;
  }
  .key {
    display: inline-block;
    width: 0.9rem;
    height: 0.9rem;
    border-radius: 2px;
    margin-right: 0.4rem;
    vertical-align: -0.1rem;
  }
  .unpack {
    background: #e69f00;
  }
  .capture {
    background: #56b4e9;
  }
  .disk {
    background: #2fb58d;
  }
  .register {
    background: #d992b8;
  }
  .unpacker {
    background: #b0b4b9;
  }
  .volume {
    background: #f0e442;
  }
  .snapshot {
    background: #7aa7e0;
  }
  .remove {
    background: #ef7f45;
  }
  .aside {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  details {
    margin: 0.5rem 0;
  }
  summary {
    cursor: pointer;
  }
  ul.paths {
    margin: 0.25rem 0 0.5rem;
    padding-left: 1.25rem;
  }
  footer {
    margin-top: 2rem;
    color: var(--weak);
    font-size: 0.85rem;
  }
  :focus-visible {
    outline: 2px solid #2f7de1;
    outline-offset: 2px;
  }
  @page {
    margin: 12mm;
    size: A4 landscape;
  }
  @media print {
    :root {
      color-scheme: light;
      --page: #fff;
      --text: #000;
      --weak: #444;
      --line: #bbb;
      --band: #f2f2f2;
      --bad: #a01010;
      --good: #0c5a2c;
    }
    body {
      max-width: none;
      padding: 0;
      font-size: 9.5pt;
    }
    .scroll {
      overflow: visible;
    }
    td.id div {
      white-space: normal;
    }
    .timeline {
      min-width: 0;
    }
    .bar,
    .key,
    .track {
      print-color-adjust: exact;
      -webkit-print-color-adjust: exact;
    }
    tr,
    li {
      break-inside: avoid;
    }
    h2,
    h3 {
      break-after: avoid;
    }
    details::details-content {
      content-visibility: visible;
      block-size: auto;
    }
  }
`;
