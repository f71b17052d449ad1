import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Job, Plan, PlanEdge, PlanNode } from '../api';
import { count, plural, rate } from '../format';
import { Rates } from '../live/rates';
import { live, useLive } from '../live/store';
import { Icon } from '../ui/parts';
import { heightOf, layout, NODE, side, small, SMALL, type Placed } from './layout';

interface Told {
  figure: string;
  unit: string;
  tone: string;
  rate: number;
}

/** The running pipeline: steps with their figures, edges with rows a second. The flow's dashes move with the rate. */
export function Graph(props: { plan: Plan; job: Job }) {
  useLive(250);
  const box = useRef<HTMLDivElement>(null);
  const rates = useRef(new Rates());
  const [room, setRoom] = useState(960);
  useEffect(() => {
    const resize = new ResizeObserver(([entry]) => setRoom(Math.floor(entry.contentRect.width)));
    resize.observe(box.current!);
    return () => resize.disconnect();
  }, []);
  // A flow that has not carried a row yet is no news.
  const late = props.job.sources.some((s) => s.late > 0);
  const drawn = useMemo(() => {
    const nodes = props.plan.nodes.filter((n) => late || n.kind !== 'late');
    return { nodes, edges: props.plan.edges.filter((e) => nodes.some((n) => n.id === e.to)) };
  }, [props.plan, late]);
  const plan = useMemo(() => layout(drawn, room), [drawn, room]);
  const vertical = room < 560;
  const width = vertical ? Math.min(NODE.width, widthFor(plan.nodes, room)) : NODE.width;
  const places = new Map(plan.nodes.map((p) => [p.node.id, p]));
  const told = new Map(props.plan.nodes.map((n) => [n.id, tell(n, props.job, rates.current)]));
  return (
    <div class="graph" ref={box} tabIndex={0} role="region" aria-label="Pipeline graph">
      <svg width={plan.width} height={plan.height} aria-hidden="true">
        {drawn.edges.map((edge) => (
          <Edge key={edge.from + edge.to} edge={edge} from={places.get(edge.from)!} to={places.get(edge.to)!} width={width} vertical={vertical} told={told.get(edge.to)!} />
        ))}
        {plan.nodes.map((p) => (
          <Node key={p.node.id} placed={p} width={width} told={told.get(p.node.id)!} />
        ))}
      </svg>
      <ul class="hidden">
        {props.plan.nodes.map((n) => (
          <li>
            {n.kind} {n.name}: {told.get(n.id)!.figure} {told.get(n.id)!.unit}, runs on {n.where}
            {props.plan.edges.some((e) => e.from === n.id) && `, flows to ${props.plan.edges.filter((e) => e.from === n.id).map((e) => places.get(e.to)?.node.name).join(' and ')}`}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Node(props: { placed: Placed; width: number; told: Told }) {
  const { node, x, y } = props.placed;
  const room = Math.floor((props.width - 46) / 7.7);
  if (small(node)) {
    return (
      <g class={`node side ${node.kind} ${props.told.tone}`} transform={`translate(${x} ${y})`}>
        <title>{`${node.kind}: ${node.detail}`}</title>
        <rect class="card" width={props.width} height={SMALL} rx="10" />
        <rect class="edge" width="4" height={SMALL - 20} x="0" y="10" rx="2" />
        <svg x="14" y="7" width="15" height="15" viewBox="0 0 24 24">
          <Icon name={node.kind} />
        </svg>
        <text class="name" x="35" y="19">
          {cut(plain(node.name), room + 2)}
        </text>
        <text class="figure" x="14" y="37">
          {props.told.figure} <tspan class="unit">{props.told.unit}</tspan>
        </text>
      </g>
    );
  }
  return (
    <g class={`node ${node.kind} ${props.told.tone}`} transform={`translate(${x} ${y})`}>
      <title>{`${node.kind}: ${node.detail}`}</title>
      <rect class="card" width={props.width} height={heightOf(node)} rx="10" />
      <rect class="edge" width="4" height={heightOf(node) - 24} x="0" y="12" rx="2" />
      <svg x="14" y="10" width="18" height="18" viewBox="0 0 24 24">
        <Icon name={node.kind} />
      </svg>
      <text class="name" x="38" y="24">
        {cut(node.kind === 'checks' ? `checks on ${node.name}` : plain(node.name), room)}
      </text>
      <text class="figure" x="14" y="46">
        {props.told.figure} <tspan class="unit">{props.told.unit}</tspan>
      </text>
      <text class="where" x="14" y="63">
        {cut(node.where, Math.floor((props.width - 22) / 6.6))}
      </text>
    </g>
  );
}

function Edge(props: { edge: PlanEdge; from: Placed; to: Placed; width: number; vertical: boolean; told: Told }) {
  const { from, to, vertical, width } = props;
  const [x1, y1, x2, y2] = vertical
    ? [from.x + width / 2, from.y + heightOf(from.node), to.x + width / 2, to.y]
    : [from.x + width, from.y + heightOf(from.node) / 2, to.x, to.y + heightOf(to.node) / 2];
  const bend = vertical ? (y2 - y1) / 2 : (x2 - x1) / 2;
  const path = vertical ? `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}` : `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  const kind = side(to.node) ? (to.node.kind === 'alert' ? 'watch' : 'bad') : 'good';
  const flowing = props.told.rate > 0;
  const speed = props.told.rate > 5000 ? 'fast' : props.told.rate > 100 ? 'mid' : 'slow';
  const label = to.node.kind === 'alert' ? '' : flowing ? `${rate(props.told.rate)}/s` : '';
  return (
    <g class={`flow ${kind}`}>
      <path class="bed" d={path} />
      {flowing && <path class={'water ' + speed} d={path} />}
      {label && (
        <text class="label" x={(x1 + x2) / 2 + (vertical ? 8 : 0)} y={(y1 + y2) / 2 + (vertical ? 4 : y2 === y1 ? -8 : -10)} text-anchor={vertical ? 'start' : 'middle'}>
          {label}
        </text>
      )}
    </g>
  );
}

/** What a step's card says: figures that belong to it, by kind. */
function tell(node: PlanNode, job: Job, rates: Rates): Told {
  const now = live.now();
  const per = (name: string, value: number) => rates.of(`${job.name}/${node.id}/${name}`, value, now);
  const source = job.sources.find((s) => s.name === part(node.id, 1)) ?? (job.sources.length === 1 ? job.sources[0] : undefined);
  const idle = job.state !== 'running';
  switch (node.kind) {
    case 'source':
      return { figure: count(source?.in ?? 0), unit: source && source.lag > 0 ? `in · lag ${count(source.lag)}` : 'in · no lag', tone: source && source.lag > 50_000 ? 'warn' : 'ok', rate: idle ? 0 : (source?.perSecond ?? 0) };
    case 'checks':
      return { figure: count(source?.good ?? 0), unit: 'good', tone: job.state === 'paused' ? 'warn' : 'ok', rate: idle ? 0 : (source?.perSecond ?? 0) };
    case 'quarantine':
      return { figure: count(source?.quarantined ?? 0), unit: 'bad rows', tone: (source?.quarantined ?? 0) > 0 ? 'warn' : 'idle', rate: per('q', source?.quarantined ?? 0) };
    case 'late':
      return { figure: count(source?.late ?? 0), unit: 'late rows', tone: 'idle', rate: per('l', source?.late ?? 0) };
    case 'query': {
      const output = job.outputs.find((o) => o.name === node.name);
      // What the sources take in less what the checks hold back: the same smooth rate as on the edge before.
      const good = job.sources.reduce((n, s) => n + Math.max(0, s.perSecond - rates.of(`${job.name}/${s.name}/bad`, s.quarantined, now)), 0);
      return {
        figure: output && output.openWindows > 0 ? String(output.openWindows) : count(output?.rows ?? 0),
        unit: output && output.openWindows > 0 ? `open ${output.openWindows === 1 ? 'window' : 'windows'}` : 'rows',
        tone: 'ok', rate: idle ? 0 : good,
      };
    }
    case 'sink': {
      const own = job.sinks.filter((s) => s.input === part(node.id, 1));
      const sink = own.find((s) => plain(s.target).split('?')[0] === plain(node.name)) ?? own[0];
      const from = job.sources.find((s) => s.name === sink?.input);
      const through = from ? Math.max(0, from.perSecond - per('bad', from.quarantined)) : per('c', (sink?.committed ?? 0) + (sink?.pending ?? 0));
      return { figure: count(sink?.committed ?? 0), unit: sink && sink.pending > 0 ? `rows, ${count(sink.pending)} due` : 'rows', tone: 'ok', rate: idle ? 0 : through };
    }
    case 'alert': {
      const alert = job.alerts.find((a) => a.name === node.name);
      return alert?.firing ? { figure: 'Firing', unit: '', tone: 'bad', rate: 0 } : { figure: 'Quiet', unit: '', tone: 'ok', rate: 0 };
    }
    default:
      return { figure: plural(0, 'row'), unit: '', tone: 'idle', rate: 0 };
  }
}

/** Ids are kind/name, of sinks kind/input/target. */
const part = (id: string, index: number) => id.split('/')[index];

const plain = (name: string) => name.replace(/^(iceberg|topic):/, '');

const cut = (text: string, most: number) => (text.length <= most ? text : text.slice(0, Math.max(1, most - 1)) + '…');

function widthFor(nodes: Placed[], room: number) {
  const rows = new Map<number, number>();
  for (const p of nodes) rows.set(p.y, (rows.get(p.y) ?? 0) + 1);
  const across = Math.max(1, ...rows.values());
  return (room - 12 * (across - 1) - 4) / across;
}
