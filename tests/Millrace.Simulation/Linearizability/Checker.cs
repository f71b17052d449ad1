namespace Millrace.Simulation.Linearizability;

/// <summary>
/// Decides whether a history is linearizable by the search of Wing and Gong with the cache of Lowe (Testing for linearizability, 2017):
/// try each operation that may come first, remember each pair of done operations and state, go back where it fails. Time is
/// exponential at worst; memory is bounded by <paramref name="maxCached"/> remembered pairs a key.
/// </summary>
internal sealed class Checker<TState, TInput, TOutput>(ISequentialModel<TState, TInput, TOutput> model, int maxCached = 2_000_000)
    where TState : notnull
{
    /// <summary>The key that is not linearizable, after such a verdict.</summary>
    public string? GuiltyKey { get; private set; }

    public Verdict Check(IEnumerable<Operation<TInput, TOutput>> history)
    {
        var verdict = Verdict.Linearizable;
        foreach (var group in history.GroupBy(o => o.Key).OrderBy(g => g.Count()))
        {
            switch (CheckKey(group.ToArray()))
            {
                case Verdict.NotLinearizable:
                    GuiltyKey = group.Key;
                    return Verdict.NotLinearizable;
                case Verdict.Undecided:
                    verdict = Verdict.Undecided;
                    break;
            }
        }
        return verdict;
    }

    private Verdict CheckKey(Operation<TInput, TOutput>[] operations)
    {
        var head = Link(operations);
        var random = new Random(1);
        var hashes = operations.Select(_ => random.NextInt64()).ToArray();
        var cache = new HashSet<Configuration>();
        var done = new ulong[(operations.Length + 63) / 64];
        long hash = 0;
        var state = model.Initial;
        var taken = new Stack<(Node Call, TState Before)>();
        var node = head.Next!;
        while (head.Next is not null)
        {
            if (node.Match is { } match)
            {
                var operation = operations[node.Id];
                if (model.TryStep(state, operation.Input, operation.Output, out var next))
                {
                    var doneNext = (ulong[])done.Clone();
                    doneNext[node.Id / 64] |= 1UL << (node.Id % 64);
                    if (cache.Add(new Configuration(doneNext, hash ^ hashes[node.Id], next)))
                    {
                        if (cache.Count > maxCached)
                            return Verdict.Undecided;
                        taken.Push((node, state));
                        state = next;
                        done = doneNext;
                        hash ^= hashes[node.Id];
                        Lift(node, match);
                        node = head.Next ?? head;
                        continue;
                    }
                }
                node = node.Next!;
                continue;
            }
            // A return whose call could not be placed: the last choice was wrong.
            if (taken.Count == 0)
                return Verdict.NotLinearizable;
            var (call, before) = taken.Pop();
            state = before;
            done = (ulong[])done.Clone();
            done[call.Id / 64] &= ~(1UL << (call.Id % 64));
            hash ^= hashes[call.Id];
            Unlift(call, call.Match!);
            node = call.Next!;
        }
        return Verdict.Linearizable;
    }

    private static Node Link(Operation<TInput, TOutput>[] operations)
    {
        var events = new List<(long Time, bool IsReturn, Node Node)>();
        for (var id = 0; id < operations.Length; id++)
        {
            var call = new Node(id);
            var end = new Node(id);
            call.Match = end;
            events.Add((operations[id].Call, false, call));
            events.Add((operations[id].Return, true, end));
        }
        var head = new Node(-1);
        var last = head;
        foreach (var (_, _, node) in events.OrderBy(e => e.Time).ThenBy(e => e.IsReturn))
        {
            last.Next = node;
            node.Previous = last;
            last = node;
        }
        return head;
    }

    private static void Lift(Node call, Node end)
    {
        call.Previous!.Next = call.Next;
        call.Next!.Previous = call.Previous;
        end.Previous!.Next = end.Next;
        if (end.Next is not null)
            end.Next.Previous = end.Previous;
    }

    private static void Unlift(Node call, Node end)
    {
        end.Previous!.Next = end;
        if (end.Next is not null)
            end.Next.Previous = end;
        call.Previous!.Next = call;
        call.Next!.Previous = call;
    }

    private sealed class Node(int id)
    {
        public int Id => id;

        /// <summary>The return of a call; null for a return.</summary>
        public Node? Match { get; set; }

        public Node? Previous { get; set; }

        public Node? Next { get; set; }
    }

    private readonly struct Configuration(ulong[] done, long hash, TState state) : IEquatable<Configuration>
    {
        private readonly ulong[] _done = done;
        private readonly long _hash = hash;
        private readonly TState _state = state;

        public bool Equals(Configuration other) =>
            _hash == other._hash && EqualityComparer<TState>.Default.Equals(_state, other._state) && _done.AsSpan().SequenceEqual(other._done);

        public override bool Equals(object? obj) => obj is Configuration other && Equals(other);

        public override int GetHashCode() => HashCode.Combine(_hash, _state);
    }
}
