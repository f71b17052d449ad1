import type { Plan, PlanNode } from '../api';

export interface Placed {
  node: PlanNode;
  x: number;
  y: number;
}

export interface Layout {
  width: number;
  height: number;
  nodes: Placed[];
}

export const NODE = { width: 184, height: 72 };
/** Ends of flows are told in two lines. */
export const SMALL = 46;

export const small = (node: PlanNode) => side(node) || node.kind === 'sink';

export const heightOf = (node: PlanNode) => (small(node) ? SMALL : NODE.height);

/**
 * Layers by longest path from the sources (Sugiyama's first step); inside a layer nodes stand at the mean of their predecessors, so
 * the main flow runs straight. Side flows (quarantine, late rows, alerts) come last in their layer.
 */
export function layout(plan: Plan, room: number): Layout {
  const vertical = room < 560;
  const layerOf = new Map<string, number>();
  const before = new Map<string, string[]>();
  for (const edge of plan.edges) before.set(edge.to, [...(before.get(edge.to) ?? []), edge.from]);
  const depth = (id: string, seen: Set<string>): number => {
    const known = layerOf.get(id);
    if (known !== undefined) return known;
    if (seen.has(id)) return 0;
    seen.add(id);
    const value = Math.max(-1, ...(before.get(id) ?? []).map((p) => depth(p, seen))) + 1;
    layerOf.set(id, value);
    return value;
  };
  for (const node of plan.nodes) depth(node.id, new Set());
  const layers: PlanNode[][] = [];
  for (const node of plan.nodes) (layers[layerOf.get(node.id)!] ??= []).push(node);

  const rank = new Map<string, number>();
  for (const layer of layers) {
    const weight = (n: PlanNode) => {
      const from = (before.get(n.id) ?? []).map((p) => rank.get(p) ?? 0);
      return (from.length ? from.reduce((a, b) => a + b, 0) / from.length : 0) + (side(n) ? 1000 : 0);
    };
    layer.sort((a, b) => weight(a) - weight(b));
    layer.forEach((n, i) => rank.set(n.id, i));
  }

  const across = Math.max(1, ...layers.map((l) => l.length));
  const tallest = (layer: PlanNode[]) => Math.max(...layer.map(heightOf));
  const gapAlong = vertical ? 42 : Math.max(48, Math.min(150, (room - layers.length * NODE.width - 4) / Math.max(1, layers.length - 1)));
  const gapAcross = 12;
  const nodes: Placed[] = [];
  let bottom = 0;
  let along = 2;
  layers.forEach((layer, l) => {
    let down = 2;
    layer.forEach((node, i) => {
      if (vertical) {
        const w = Math.min(NODE.width, (room - gapAcross * (across - 1) - 4) / across);
        const span = layer.length * w + (layer.length - 1) * gapAcross;
        nodes.push({ node, x: (room - span) / 2 + i * (w + gapAcross), y: along });
      } else {
        nodes.push({ node, x: 2 + l * (NODE.width + gapAlong), y: down });
        down += heightOf(node) + gapAcross;
        bottom = Math.max(bottom, down - gapAcross + 2);
      }
    });
    along += tallest(layer) + gapAlong;
  });
  return vertical
    ? { width: room, height: along - gapAlong + 2, nodes }
    : { width: 4 + layers.length * NODE.width + (layers.length - 1) * gapAlong, height: bottom, nodes };
}

export const side = (node: PlanNode) => node.kind === 'quarantine' || node.kind === 'late' || node.kind === 'alert';
