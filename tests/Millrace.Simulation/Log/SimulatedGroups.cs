using Millrace.Kafka.Messages;
using Millrace.Log.Groups;
using Millrace.Log.Groups.Consumers;

namespace Millrace.Simulation.Log;

/// <summary>What a group was told of its offsets, over all lives of the broker.</summary>
internal sealed class GroupLedger(string id)
{
    public const int Partitions = 4;
    public const int SessionMillis = 400;
    public const int RebalanceMillis = 600;
    private readonly long[] _acknowledged = new long[Partitions];

    public string Id { get; } = id;

    /// <summary>A member was told that its commit counts.</summary>
    public void Acknowledged(SimulatedLog log, string member, int partition, long offset)
    {
        if (offset < _acknowledged[partition])
            log.Violate($"group {Id}: {member} may commit {offset} in partition {partition}, where {_acknowledged[partition]} was committed before: offsets go back");
        _acknowledged[partition] = Math.Max(_acknowledged[partition], offset);
    }

    public long Committed(SimulatedLog log, int partition)
    {
        if (log.Groups.Find(Id) is not { } group)
            return 0;
        lock (group.Gate)
            return group.Offsets.Committed.TryGetValue(("four", partition), out var offset) ? offset.Offset : 0;
    }

    public void Check(SimulatedLog log)
    {
        for (var partition = 0; partition < Partitions; partition++)
        {
            if (Committed(log, partition) < _acknowledged[partition])
                log.Violate($"group {Id}: {_acknowledged[partition]} was committed in partition {partition}, {Committed(log, partition)} is there");
        }
    }
}

/// <summary>What both kinds of members have in common: they read from where the group stands, commit, fall silent, come back, and hear or do not hear.</summary>
internal abstract class SimulatedMember(GroupLedger ledger, int number, bool isStatic, Random random)
{
    private readonly Dictionary<int, long> _positions = [];
    private long _silentUntil;
    private long _askedAt;
    private int _connection;
    private bool _committing;
    private (string Name, int Generation, Dictionary<int, long> Positions)? _oldSelf;

    protected GroupLedger Ledger { get; } = ledger;

    protected Random Chance { get; } = random;

    protected int Number { get; } = number;

    protected string? Instance { get; } = isStatic ? $"s{number}" : null;

    protected bool IsWaiting { get; private set; }

    /// <summary>Since when, by the steady clock, it has tried to get in and has not.</summary>
    private long _outSince = -1;

    /// <summary>What it believes it may read.</summary>
    public IReadOnlyCollection<int> Owned => _positions.Keys;

    protected abstract bool IsIn { get; }

    protected abstract string Name { get; }

    protected abstract int Generation { get; }

    public void Step(SimulatedLog log)
    {
        if (_oldSelf is { } old && Chance.Next(4) == 0)
            CommitAs(log, old.Name, old.Generation, old.Positions, _ => _oldSelf = null);
        if (log.Steady < _silentUntil)
        {
            // A stalled reader does not know that it is stalled: what it had on its way still arrives.
            if (IsIn && Chance.Next(3) == 0)
                Commit(log);
            return;
        }
        if (IsWaiting && log.Steady - _askedAt > 2 * GroupLedger.RebalanceMillis)
            Cut();
        WatchTheDoor(log);
        switch (Chance.Next(40))
        {
            case 0:
                _silentUntil = log.Steady + Chance.Next(3 * GroupLedger.SessionMillis);
                return;
            case 1:
                Cut();
                return;
            case 2 when IsIn && !IsWaiting:
                Leave(log);
                return;
            case 3:
                // Somebody starts it anew while the old one only seemed to be gone.
                if (Instance is not null && IsIn)
                    _oldSelf = (Name, Generation, new Dictionary<int, long>(_positions));
                Restart();
                return;
        }
        if (IsWaiting)
            return;
        if (IsIn && Chance.Next(2) == 0)
            Commit(log);
        else
            Talk(log);
    }

    /// <summary>The connection is cut, or the broker is gone: what was asked is not answered.</summary>
    public void Cut()
    {
        _connection++;
        IsWaiting = _committing = false;
    }

    /// <summary>Nobody counts the time that the broker was away.</summary>
    public void Forgive() => _outSince = -1;

    /// <summary>The next thing to say to the group.</summary>
    protected abstract void Talk(SimulatedLog log);

    protected abstract void Leave(SimulatedLog log);

    /// <summary>The process ends without a word and begins anew.</summary>
    protected abstract void Restart();

    protected abstract void Thrown(ErrorCode error);

    protected Action<T> Ask<T>(SimulatedLog log, Action<T> then)
    {
        IsWaiting = true;
        _askedAt = log.Steady;
        var connection = _connection;
        return answer =>
        {
            if (connection != _connection)
                return;
            IsWaiting = false;
            if (!log.IsLast && Chance.Next(20) == 0)
                return;
            then(answer);
        };
    }

    protected void Own(SimulatedLog log, IEnumerable<int> partitions)
    {
        var wanted = partitions.ToHashSet();
        foreach (var gone in _positions.Keys.Where(p => !wanted.Contains(p)).ToList())
            _positions.Remove(gone);
        foreach (var partition in wanted)
            _positions.TryAdd(partition, Ledger.Committed(log, partition));
    }

    protected void OwnNothing() => _positions.Clear();

    private void Commit(SimulatedLog log)
    {
        if (!_committing)
            CommitAs(log, Name, Generation, _positions, Thrown);
    }

    private void CommitAs(SimulatedLog log, string name, int generation, Dictionary<int, long> positions, Action<ErrorCode> thrown)
    {
        if (positions.Count == 0 || log.Groups.Find(Ledger.Id) is not { } group)
            return;
        var partition = positions.Keys.Order().ElementAt(Chance.Next(positions.Count));
        var offset = positions[partition] += Chance.Next(1, 5);
        var refused = log.Groups.Run(group, m => m.CheckCommit(name, Instance, generation, log.Context.Steady, transactional: false));
        if (refused != ErrorCode.None)
        {
            if (refused is not ErrorCode.RebalanceInProgress)
                thrown(refused);
            return;
        }
        _committing |= positions == _positions;
        var connection = _connection;
        log.Groups.Commit(group, [("four", partition, new CommittedOffset(offset, -1, "", log.Now))], error =>
        {
            // The broker's word counts, heard or not.
            if (error == ErrorCode.None)
                Ledger.Acknowledged(log, name, partition, offset);
            if (connection == _connection && positions == _positions)
                _committing = false;
        });
    }

    /// <summary>Who is awake and asks gets in, however many others have died or how often the clock was set.</summary>
    private void WatchTheDoor(SimulatedLog log)
    {
        if (IsIn || log.IsHindered)
            _outSince = -1;
        else if (_outSince < 0)
            _outSince = log.Steady;
        else if (log.Steady - _outSince > 60 * (GroupLedger.SessionMillis + GroupLedger.RebalanceMillis))
            log.Violate($"group {Ledger.Id}: {Name} asks for {log.Steady - _outSince} ms and is not let in");
    }
}

/// <summary>A member by the classic protocol; the leader shares the partitions out.</summary>
internal sealed class ClassicMember(GroupLedger ledger, int number, bool isStatic, Random random) : SimulatedMember(ledger, number, isStatic, random)
{
    private string _id = "";
    private int _generation = -1;
    private JoinResult? _joined;
    private int _ids;

    protected override bool IsIn => _generation >= 0 && _joined is null;

    protected override string Name => _id;

    protected override int Generation => _generation;

    protected override void Talk(SimulatedLog log)
    {
        if (_joined is { } joined)
            Sync(log, joined);
        else if (_generation < 0)
            Join(log);
        else
            Beat(log);
    }

    protected override void Leave(SimulatedLog log)
    {
        if (Instance is null && log.Groups.Find(Ledger.Id) is { } group)
            log.Groups.Run(group, m => m.Leave(_id, null, log.Context.Steady));
        Restart();
    }

    protected override void Restart()
    {
        Cut();
        OwnNothing();
        (_id, _generation, _joined) = ("", -1, null);
    }

    protected override void Thrown(ErrorCode error)
    {
        Cut();
        (_generation, _joined) = (-1, null);
        OwnNothing();
        if (error is ErrorCode.UnknownMemberId or ErrorCode.FencedInstanceId)
            _id = "";
    }

    private void Join(SimulatedLog log)
    {
        var group = log.Groups.GetOrAdd(Ledger.Id);
        var request = new JoinRequest
        {
            MemberId = _id, InstanceId = Instance, ClientId = "c", ClientHost = "/h", SessionTimeoutMs = GroupLedger.SessionMillis,
            RebalanceTimeoutMs = GroupLedger.RebalanceMillis, ProtocolType = "simulated", Protocols = [new GroupProtocol("p", new byte[] { 1 })],
            RequiresKnownMemberId = Instance is null, SupportsSkippingAssignment = true, NewMemberId = $"m{Number}-{++_ids}-{log.Steady}",
        };
        var answer = Ask<JoinResult>(log, result =>
        {
            if (result.Error == ErrorCode.MemberIdRequired)
                _id = result.MemberId;
            else if (result.Error != ErrorCode.None)
                Thrown(result.Error);
            else
                (_id, _generation, _joined) = (result.MemberId, result.Generation, result);
        });
        log.Groups.Run(group, m => m.Join(request, answer, log.Context.Steady));
    }

    private void Sync(SimulatedLog log, JoinResult joined)
    {
        if (log.Groups.Find(Ledger.Id) is not { } group)
        {
            Thrown(ErrorCode.UnknownMemberId);
            return;
        }
        var shares = new Dictionary<string, ReadOnlyMemory<byte>>();
        if (joined.Leader == _id && !joined.SkipAssignment)
        {
            var members = joined.Members.Select(m => m.Id).ToList();
            for (var i = 0; i < members.Count; i++)
                shares[members[i]] = Enumerable.Range(0, GroupLedger.Partitions).Where(p => p % members.Count == i).Select(p => (byte)p).ToArray();
        }
        var answer = Ask<SyncResult>(log, result =>
        {
            if (result.Error != ErrorCode.None)
            {
                Thrown(result.Error);
                return;
            }
            _joined = null;
            OwnNothing();
            Own(log, result.Assignment.ToArray().Select(b => (int)b));
        });
        log.Groups.Run(group, m => m.Sync(_id, Instance, joined.Generation, joined.ProtocolType, joined.ProtocolName, shares, answer, log.Context.Steady));
    }

    private void Beat(SimulatedLog log)
    {
        var error = log.Groups.Find(Ledger.Id) is { } group
            ? log.Groups.Run(group, m => m.Heartbeat(_id, Instance, _generation, log.Context.Steady))
            : ErrorCode.UnknownMemberId;
        if (error != ErrorCode.None)
            Thrown(error);
    }
}

/// <summary>A member by the consumer protocol of Kafka 4 (KIP-848).</summary>
internal sealed class ConsumerProtocolMember(GroupLedger ledger, int number, bool isStatic, Random random)
    : SimulatedMember(ledger, number, isStatic, random)
{
    private string _id = $"k{number}";
    private int _epoch;
    private int _lives;
    private HashSet<int>? _revoking;

    protected override bool IsIn => _epoch > 0;

    protected override string Name => _id;

    protected override int Generation => _epoch;

    protected override void Talk(SimulatedLog log) => Beat(log, _epoch);

    protected override void Leave(SimulatedLog log)
    {
        Beat(log, Instance is null ? -1 : ConsumerMember.AwayEpoch);
        Restart();
    }

    protected override void Restart()
    {
        Cut();
        OwnNothing();
        (_id, _epoch, _revoking) = ($"k{Number}-{++_lives}", 0, null);
    }

    protected override void Thrown(ErrorCode error)
    {
        // A commit with a stale epoch is tried again when the next heartbeat has brought the new one.
        if (error == ErrorCode.StaleMemberEpoch)
            return;
        Cut();
        OwnNothing();
        (_epoch, _revoking) = (0, null);
        if (error == ErrorCode.FencedInstanceId)
            Restart();
    }

    private void Beat(SimulatedLog log, int epoch)
    {
        var group = log.Groups.GetOrAdd(Ledger.Id);
        if (_revoking is { } let)
        {
            Own(log, Owned.Where(p => !let.Contains(p)).ToList());
            _revoking = null;
        }
        var beat = new ConsumerHeartbeat
        {
            MemberId = _id, Epoch = epoch, InstanceId = Instance, RebalanceTimeoutMs = GroupLedger.RebalanceMillis, Topics = ["four"],
            Owned = [.. Owned.Select(p => ("four", p))], ClientId = "c", ClientHost = "/h",
        };
        var name = _id;
        var answer = Ask<HeartbeatResult>(log, result =>
        {
            if (name != _id || epoch < 0)
                return;
            if (result.Error is ErrorCode.CoordinatorNotAvailable)
                return;
            if (result.Error != ErrorCode.None)
            {
                Thrown(result.Error);
                return;
            }
            _epoch = result.Epoch;
            if (result.Assigned is null)
                return;
            var assigned = result.Assigned.Select(a => a.Partition).ToHashSet();
            foreach (var other in log.Members.OfType<ConsumerProtocolMember>().Where(m => m != this && m.Ledger == Ledger && m.IsKnown(log)))
            {
                foreach (var partition in assigned.Where(p => !Owned.Contains(p) && other.Owned.Contains(p)))
                    log.Violate($"group {Ledger.Id}: {_id} is given partition {partition}, which {other._id} still reads");
            }
            _revoking = [.. Owned.Where(p => !assigned.Contains(p))];
            Own(log, assigned.Concat(_revoking).ToList());
            if (_revoking.Count == 0)
                _revoking = null;
        });
        log.Groups.Run(group, m => m.ConsumerHeartbeat(beat, answer, log.Context.Steady));
    }

    /// <summary>The group counts it as a member, and with the epoch that it has itself.</summary>
    private bool IsKnown(SimulatedLog log)
    {
        if (log.Groups.Find(Ledger.Id) is not { } group)
            return false;
        lock (group.Gate)
            return group.Consumers?.Member(_id) is { } member && member.Epoch == _epoch && member.SessionDeadline > log.Context.Steady;
    }
}
