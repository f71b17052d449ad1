// The server's wire records (src/Millrace.Console/Wire); GET /openapi.json describes them all.

export interface Job {
  name: string; state: string; reason: string | null; priority: string; submittedAt: string;
  sources: Source[]; outputs: Output[]; sinks: Sink[]; alerts: Alert[]; checkpoint: Checkpoint; latency: Latency;
}
export interface Source {
  name: string; topic: string; in: number; good: number; quarantined: number; waiting: number; retried: number; waitingFor?: string | null; late: number; perSecond: number; lag: number;
  watermark: string | null; partitions: { partition: number; nextOffset: number; endOffset: number; idle: boolean }[]; reasons: Reason[];
}
export interface Reason { reason: string; count: number }
export interface Output { name: string; rows: number; openWindows: number; lateRows: number }
export interface Sink { input: string; target: string; committed: number; pending: number; refused: number; lastCommit: string | null; lastCommitAt: string | null }
export interface Alert { name: string; firing: boolean; since: string | null; detail: string | null }
export interface Checkpoint { id: number; at: string | null; tookMillis: number; bytes: number; balanced: boolean }
export interface Latency { p50: number; p95: number; p99: number; max: number }
export interface ProcessInfo {
  version: string; startedAt: string; uptimeSeconds: number; cores: number; cpuSeconds: number; processors: number;
  residentBytes: number; managedBytes: number; threads: number; dataBytes: number; diskFreeBytes: number; diskTotalBytes: number;
}
export interface Status { process: ProcessInfo; ready: boolean; notReadyReason: string | null; jobs: Job[]; topics: number; topicBytes: number; tables: number }
export interface OverviewFrame { seq: number; at: number; process: ProcessInfo; jobs: Job[] }
export interface LiveOutput { job: string; output: string; columns: Column[]; roles: string[]; total: number; rows: Cell[][] }
export interface OutputFrame { seq: number; at: number; jobs: { job: string; checkpoint: number; outputs: LiveOutput[] }[] }
export interface Column { name: string; type: string }
export type Cell = string | number | boolean | null | object;
export interface PlanNode { id: string; kind: string; name: string; detail: string; where: string }
export interface PlanEdge { from: string; to: string; label: string | null }
export interface Plan { nodes: PlanNode[]; edges: PlanEdge[] }
export interface JobDetail { job: Job; file: string; plan: Plan }
export interface Quarantine { total: number; reasons: Reason[]; rows: QuarantinedRow[] }
export interface QuarantinedRow { source: string; topic: string; partition: number; offset: number; at: string; reasons: string[]; value: string }
export interface Table {
  namespace: string; name: string; rows: number; bytes: number; files: number; snapshots: number; snapshotId: string | null; updatedAt: string | null;
}
export interface TableDetail {
  table: Table; location: string; formatVersion: number; columns: { id: number; name: string; type: string; required: boolean }[]; key: string[];
  snapshotLog: { id: string; parentId: string | null; at: string; operation: string; addedRows: number | null; totalRows: number | null; summary: Record<string, string> }[];
  dataFiles: { path: string; rows: number; bytes: number }[];
}
export interface Topic { name: string; partitions: { partition: number; startOffset: number; endOffset: number; bytes: number }[]; records: number; bytes: number; config: Record<string, string> }
export interface RecordPage { topic: string; partition: number; startOffset: number; endOffset: number; records: StoredRecord[] }
export interface StoredRecord { offset: number; timestamp: string; key: string | null; value: string | null; encoding: string; bytes: number; cut: boolean; headers: Record<string, string | null> }
export interface RegisteredSchema { subject: string; version: number; id: number; schemaType?: string; schema: string }
export interface Group { id: string; state: string; members: number; lag: number; partitions: { topic: string; partition: number; committed: number | null; endOffset: number; lag: number; member: string | null }[] }
export interface ClusterMember {
  id: string; name: string; leader: boolean; self: boolean; learner: boolean; peerUrls: string[]; clientUrls: string[]; match: number | null;
  active: boolean | null; roundTripMillis: number | null; deviationMillis: number | null; receivingSnapshot: boolean;
}
export interface ClusterInfo {
  id: string; self: string; role: string; term: number; leader: string | null; commit: number; applied: number; lastIndex: number; durable: number;
  compactedIndex: number; revision: number; keys: number; stateBytes: number; logBytes: number; flushes: number; electionTimeoutMillis: number;
  changingMembers: boolean; members: ClusterMember[]; elections: { at: string; term: number; leader: string; leaderlessMillis: number }[];
  healing: string | null;
}
export interface SessionsInfo {
  copies: number; write: number; read: number; puts: number; gets: number; repairs: number; handoffs: number; written: number; flushes: number;
  hintsWaiting: number; hints: { member: string; count: number }[]; failure: string | null;
}
export interface SqlReply { columns: Column[]; rows: Cell[][]; rowCount: number; truncated: boolean; tookMillis: number; tag: string | null }
export interface Problem { title: string; status: number; detail: string; hint?: string; position?: number; line?: number; column?: number; sqlState?: string }
export interface History {
  everyMillis: number; at: number[]; cores: number[]; residentBytes: number[];
  jobs: { job: string; perSecond: (number | null)[]; quarantinedPerSecond: (number | null)[]; p50: (number | null)[]; p95: (number | null)[]; p99: (number | null)[]; lag: (number | null)[] }[];
}

export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

/** The session is over, or never was: the login page knows the way back. */
export function logIn() {
  location.assign('/login?to=' + encodeURIComponent('/' + location.hash));
}

/** Who is logged in; null where this platform asks for no login. */
export async function whoAmI(): Promise<string | null> {
  const response = await fetch('/login/user');
  if (response.status === 401) logIn();
  return response.ok ? ((await response.json()) as { user: string | null }).user : null;
}

export async function logOut() {
  await post('/logout');
  logIn();
}

async function answer<T>(response: Response): Promise<T> {
  if (response.status === 401) logIn();
  if (response.ok) return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
  let problem: Problem = { title: response.statusText, status: response.status, detail: `the server answered ${response.status}` };
  if (response.headers.get('content-type')?.includes('json')) problem = (await response.json()) as Problem;
  throw new ProblemError(problem);
}

export const get = async <T>(path: string, signal?: AbortSignal) => answer<T>(await fetch(path, { signal }));

export const post = async <T>(path: string, body: unknown = {}, signal?: AbortSignal) =>
  answer<T>(await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), signal }));

export const remove = async (path: string) => answer<void>(await fetch(path, { method: 'DELETE' }));
