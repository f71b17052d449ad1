namespace Millrace.Coordination.Sessions;

/// <summary>What came of an operation.</summary>
/// <param name="Operation">As it was begun.</param>
/// <param name="IsEnough">W or R copies answered; else a write may yet be found by a read, or not.</param>
/// <param name="Answers">Copies that answered.</param>
/// <param name="Version">Of a read: the newest that answered, deleted and expired ones too; of a write: what was written.</param>
public sealed record SessionOutcome(long Operation, bool IsEnough, int Answers, SessionVersion? Version);

/// <summary>
/// One member of a store of sessions by quorums, as a pure state machine over its disk: any member takes reads and writes, sends them to the N homes
/// of a key, and answers when W or R of them did. What says that something is on this disk is held until the flush that made it true has ended, one
/// flush for all that came before it began. The newest write wins. A read writes the newest back to homes that answered with less (read
/// repair); a write that a home did not acknowledge is kept as a hint and handed over when that home is heard of again. Not thread-safe; times are
/// milliseconds.
/// </summary>
/// <remarks>DeCandia and others: Dynamo: Amazon's Highly Available Key-value Store, 2007, with strict homes instead of a sloppy quorum: hints do not count for W.</remarks>
/// <param name="self">This member.</param>
/// <param name="disk">Its copies and hints.</param>
/// <param name="firstOperation">Higher at every start, so that no late answer to an operation of an earlier life counts for another.</param>
public sealed class SessionCore(ulong self, ISessionDisk disk, long firstOperation)
{
    private readonly Dictionary<long, Pending> _pending = [];
    private readonly List<SessionMessage> _messages = [];
    private readonly List<SessionOutcome> _outcomes = [];
    private readonly HashSet<ulong> _heard = [];
    private Claims _next = new();
    private Claims _flushing = new();
    private bool _isFlushing;
    private HybridTime _clock = disk.Newest;
    private long _lastOperation = firstOperation;

    /// <summary>Copies that were older than the newest and were given it.</summary>
    public long Repairs { get; private set; }

    /// <summary>Hints that were handed over.</summary>
    public long Handoffs { get; private set; }

    /// <summary>Writes that this member took from clients.</summary>
    public long Puts { get; private set; }

    /// <summary>Reads that this member took from clients.</summary>
    public long Gets { get; private set; }

    /// <summary>Copies and hints that went to this disk.</summary>
    public long Written { get; private set; }

    /// <summary>Something was put since the last flush began.</summary>
    public bool NeedsFlush => _next.IsDirty;

    public long Put(long wallMillis, string key, ReadOnlyMemory<byte>? value, long expiresAtMillis, SessionQuorum quorum, IReadOnlyCollection<ulong> members, long deadline)
    {
        ArgumentNullException.ThrowIfNull(quorum);
        Puts++;
        _clock = _clock.Next(wallMillis, self);
        var version = new SessionVersion(_clock, value, expiresAtMillis);
        var pending = Begin(key, quorum, members, quorum.In(members.Count).Write, deadline, version);
        foreach (var home in pending.Homes)
            Send(new SessionStore(self, home, _lastOperation, key, version));
        return _lastOperation;
    }

    public long Get(string key, SessionQuorum quorum, IReadOnlyCollection<ulong> members, long deadline)
    {
        ArgumentNullException.ThrowIfNull(quorum);
        Gets++;
        var pending = Begin(key, quorum, members, quorum.In(members.Count).Read, deadline, null);
        foreach (var home in pending.Homes)
            Send(new SessionAsk(self, home, _lastOperation, key));
        return _lastOperation;
    }

    public void Step(SessionMessage message)
    {
        ArgumentNullException.ThrowIfNull(message);
        _heard.Add(message.From);
        switch (message)
        {
            case SessionStore store:
                Observe(store.Version.Time);
                if (disk.Get(store.Key) is not { } held || store.Version.Time > held.Time)
                {
                    disk.Put(store.Key, store.Version);
                    Written++;
                    _next.IsDirty = true;
                    _next.Keys.Add(store.Key);
                }
                Claim(new SessionStored(self, store.From, store.Operation, store.Key, store.Version.Time));
                break;
            case SessionAsk ask:
                Claim(new SessionHas(self, ask.From, ask.Operation, ask.Key, disk.Get(ask.Key)));
                break;
            case SessionStored { Operation: 0 } handed:
                // Hints are sent until they are acknowledged, and each may be more than once.
                if (disk.RemoveHint(handed.From, handed.Key, handed.Time))
                    Handoffs++;
                break;
            case SessionStored stored when _pending.TryGetValue(stored.Operation, out var write) && write.Written is not null:
                if (write.Answers.TryAdd(stored.From, null))
                    Decide(stored.Operation, write);
                break;
            case SessionHas has when _pending.TryGetValue(has.Operation, out var read) && read.Written is null:
                if (has.Version is not null)
                    Observe(has.Version.Time);
                if (read.Answers.TryAdd(has.From, has.Version))
                    Decide(has.Operation, read);
                break;
        }
    }

    /// <summary>Ends operations whose time is over.</summary>
    /// <param name="now">Of the same clock as deadlines.</param>
    public void Tick(long now)
    {
        foreach (var (operation, pending) in _pending)
        {
            if (pending.Deadline > now)
                continue;
            _pending.Remove(operation);
            End(operation, pending);
        }
    }

    /// <summary>Asks for a flush of the disk, after which <see cref="EndFlush"/> is called; false when nothing was put, or the last has not ended.</summary>
    public bool BeginFlush()
    {
        if (_isFlushing || !_next.IsDirty)
            return false;
        _isFlushing = true;
        (_flushing, _next) = (_next, _flushing);
        return true;
    }

    /// <summary>What was put before <see cref="BeginFlush"/> is durable: whoever waited for that may be told.</summary>
    public void EndFlush()
    {
        _isFlushing = false;
        var ended = _flushing;
        _flushing = new Claims();
        foreach (var message in ended.Messages)
            Send(message);
    }

    /// <summary>Hands over what others missed: one to see whether a member is there, more to who was heard of since the last time.</summary>
    /// <param name="members">All.</param>
    /// <param name="most">Handed over to one at once.</param>
    public void HandOver(IEnumerable<ulong> members, int most)
    {
        ArgumentNullException.ThrowIfNull(members);
        foreach (var member in members)
        {
            foreach (var (key, version) in disk.Hints(member, _heard.Contains(member) ? most : 1))
                Send(new SessionStore(self, member, 0, key, version));
        }
        _heard.Clear();
    }

    public IReadOnlyList<SessionMessage> TakeMessages() => Take(_messages);

    public IReadOnlyList<SessionOutcome> TakeOutcomes() => Take(_outcomes);

    private Pending Begin(string key, SessionQuorum quorum, IReadOnlyCollection<ulong> members, int needed, long deadline, SessionVersion? written)
    {
        var pending = new Pending(key, SessionQuorum.HomesOf(key, members, quorum.Copies), needed, deadline, written);
        _pending[++_lastOperation] = pending;
        return pending;
    }

    private void Decide(long operation, Pending pending)
    {
        if (pending.Answers.Count >= pending.Needed && !pending.IsAnswered)
        {
            pending.IsAnswered = true;
            _outcomes.Add(new SessionOutcome(operation, true, pending.Answers.Count, pending.Written ?? pending.Newest));
        }
        // Later answers still matter: a write's for its hints, a read's for repair.
        if (pending.Answers.Count < pending.Homes.Length)
            return;
        _pending.Remove(operation);
        End(operation, pending);
    }

    private void End(long operation, Pending pending)
    {
        if (!pending.IsAnswered)
            _outcomes.Add(new SessionOutcome(operation, false, pending.Answers.Count, pending.Written ?? pending.Newest));
        if (pending.Written is { } written)
        {
            foreach (var home in pending.Homes)
            {
                if (pending.Answers.ContainsKey(home))
                    continue;
                disk.PutHint(home, pending.Key, written);
                Written++;
                _next.IsDirty = true;
            }
            return;
        }
        if (pending.Newest is not { } newest)
            return;
        foreach (var (home, version) in pending.Answers)
        {
            if (version is not null && !(newest.Time > version.Time))
                continue;
            Repairs++;
            Send(new SessionStore(self, home, operation, pending.Key, newest));
        }
    }

    private void Observe(HybridTime time)
    {
        if (time > _clock)
            _clock = time;
    }

    /// <summary>Sends what tells of this member's copy of a key once that copy is durable.</summary>
    private void Claim(SessionMessage message)
    {
        if (_next.Keys.Contains(message.Key))
            _next.Messages.Add(message);
        else if (_isFlushing && _flushing.Keys.Contains(message.Key))
            _flushing.Messages.Add(message);
        else
            Send(message);
    }

    private void Send(SessionMessage message)
    {
        if (message.To == self)
            Step(message);
        else
            _messages.Add(message);
    }

    private static IReadOnlyList<T> Take<T>(List<T> list)
    {
        if (list.Count == 0)
            return [];
        var taken = list.ToArray();
        list.Clear();
        return taken;
    }

    /// <summary>What one flush makes durable, and what is told then.</summary>
    private sealed class Claims
    {
        public HashSet<string> Keys { get; } = new(StringComparer.Ordinal);

        public List<SessionMessage> Messages { get; } = [];

        public bool IsDirty { get; set; }
    }

    private sealed class Pending(string key, ulong[] homes, int needed, long deadline, SessionVersion? written)
    {
        public string Key => key;

        public ulong[] Homes => homes;

        public int Needed => needed;

        public long Deadline => deadline;

        public SessionVersion? Written => written;

        public Dictionary<ulong, SessionVersion?> Answers { get; } = [];

        public bool IsAnswered { get; set; }

        public SessionVersion? Newest => Answers.Values.Where(static v => v is not null).MaxBy(static v => v!.Time);
    }
}
