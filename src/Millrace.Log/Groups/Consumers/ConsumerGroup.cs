using System.Text.RegularExpressions;
using Millrace.Kafka.Messages;

namespace Millrace.Log.Groups.Consumers;

/// <summary>The answer to a heartbeat.</summary>
/// <param name="Assigned">Null: as before.</param>
internal sealed record HeartbeatResult(ErrorCode Error, string? Message, string MemberId, int Epoch, IReadOnlyCollection<(string Topic, int Partition)>? Assigned)
{
    public static HeartbeatResult Failed(ErrorCode error, string memberId, string? message = null) => new(error, message, memberId, 0, null);
}

/// <summary>
/// The consumer protocol of Kafka 4 (KIP-848) as a pure machine: members say what they want, the group decides who shall have what (the
/// target), and each member is brought there step by step: it gives up before anyone else may take. Members that speak the classic
/// protocol take part (<see cref="ClassicMembers"/>). Not thread-safe; the shell holds the group's lock.
/// </summary>
internal sealed partial class ConsumerGroup(ConsumerGroupRules rules, ITopicCatalog topics)
{
    private readonly Dictionary<string, ConsumerMember> _members = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _statics = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Topic, int Partition), string> _owners = [];
    private long _topicsSeen = -1;
    private int _shapesHash;

    /// <summary>Rises when members, subscriptions or topics change.</summary>
    public int Epoch { get; private set; }

    /// <summary>The epoch that the targets were computed for.</summary>
    public int AssignmentEpoch { get; private set; }

    /// <summary>Since when there has been no member, in milliseconds of Unix time.</summary>
    public long EmptySince { get; private set; }

    public IReadOnlyCollection<ConsumerMember> Members => _members.Values;

    public List<GroupEffect> Effects { get; } = [];

    /// <summary>By the names that tools show.</summary>
    public string State => _members.Count == 0 ? "Empty"
        : Epoch > AssignmentEpoch ? "Assigning"
        : _members.Values.Any(m => m.State != MemberState.Stable || m.Epoch != AssignmentEpoch) ? "Reconciling" : "Stable";

    public long NextDeadline
    {
        get
        {
            var next = long.MaxValue;
            foreach (var member in _members.Values)
                next = Math.Min(next, Math.Min(member.SessionDeadline, member.RevocationDeadline));
            return next;
        }
    }

    /// <summary>What most members ask for, else uniform.</summary>
    public string AssignorName
    {
        get
        {
            var votes = _members.Values.Where(m => m.Assignor is not null).GroupBy(m => m.Assignor!).ToList();
            return votes.Count == 0 ? Assignor.Uniform : votes.MaxBy(v => v.Count())!.Key;
        }
    }

    public ConsumerMember? Member(string id) => _members.GetValueOrDefault(id);

    /// <summary>A member's sign of life, wish or farewell; answered by an effect.</summary>
    public void Heartbeat(ConsumerHeartbeat beat, object token, long now)
    {
        var result = beat.Epoch < 0 ? Leave(beat, now) : Beat(beat, now);
        Effects.Add(new GroupEffect.HeartbeatReply(token, result));
    }

    /// <summary>Whether an offset commit may be made, and counts it as nothing: only heartbeats keep a member alive.</summary>
    public ErrorCode CheckCommit(string memberId, string? instanceId, int epoch, bool transactional)
    {
        if (epoch < 0 && (_members.Count == 0 || (transactional && memberId.Length == 0)))
            return ErrorCode.None;
        if (instanceId is not null && _statics.TryGetValue(instanceId, out var current) && current != memberId)
            return ErrorCode.FencedInstanceId;
        if (!_members.TryGetValue(memberId, out var member))
            return ErrorCode.UnknownMemberId;
        if (epoch == member.Epoch || rules.Faults.AcceptStaleCommits)
            return ErrorCode.None;
        return member.Classic is not null || transactional ? ErrorCode.IllegalGeneration : ErrorCode.StaleMemberEpoch;
    }

    /// <summary>Members that have been silent too long, or have not given up what they must, are gone.</summary>
    public void Tick(long now)
    {
        foreach (var member in _members.Values.Where(m => m.SessionDeadline <= now || m.RevocationDeadline <= now).ToList())
            Remove(member, now);
    }

    private HeartbeatResult Beat(ConsumerHeartbeat beat, long now)
    {
        if (beat.Assignor is not null && !Assignor.Names.Contains(beat.Assignor))
            return HeartbeatResult.Failed(ErrorCode.UnsupportedAssignor, beat.MemberId, $"assignor {beat.Assignor} is not known; there are {string.Join(", ", Assignor.Names)}");
        if (beat.Regex is { Length: > 0 } && CheckRegex(beat.Regex) is { } wrong)
            return HeartbeatResult.Failed(ErrorCode.InvalidRegularExpression, beat.MemberId, wrong);
        var isJoin = beat.Epoch == 0;
        if (isJoin && (beat.RebalanceTimeoutMs < 0 || (beat.Topics is null && beat.Regex is null)))
            return HeartbeatResult.Failed(ErrorCode.InvalidRequest, beat.MemberId, "the first heartbeat tells rebalance timeout and subscription");
        var error = isJoin ? Enter(beat, now, out var member) : Known(beat, out member);
        if (error != ErrorCode.None)
            return HeartbeatResult.Failed(error, beat.MemberId);
        var before = (member!.Epoch, member.State, Epoch, AssignmentEpoch);
        var assigned = new HashSet<(string, int)>(member.Assigned);
        if (Update(member, beat) | TopicsChanged())
            Epoch++;
        Settle(member, beat.Owned, now);
        member.Seen(now);
        var changed = !assigned.SetEquals(member.Assigned);
        if (changed || before != (member.Epoch, member.State, Epoch, AssignmentEpoch))
            Effects.Add(new GroupEffect.Persist());
        var isFull = isJoin || (beat.RebalanceTimeoutMs >= 0 && beat.Owned is not null && (beat.Topics is not null || beat.Regex is not null));
        return new HeartbeatResult(ErrorCode.None, null, member.Id, member.Epoch, changed || isFull ? [.. member.Assigned] : null);
    }

    /// <summary>A new member, one that begins again, or the successor of a static one that is away.</summary>
    private ErrorCode Enter(ConsumerHeartbeat beat, long now, out ConsumerMember? member)
    {
        if (_members.TryGetValue(beat.MemberId, out member))
        {
            if (beat.InstanceId != member.InstanceId)
                return ErrorCode.InvalidRequest;

            // It has lost its state: what it does not own any more is free.
            var owned = beat.Owned ?? [];
            Release(member, member.Revoking);
            Release(member, member.Assigned.Where(p => !owned.Contains(p)).ToList());
            member.Assigned.IntersectWith(owned);
            member.Revoking = [];
            (member.State, member.RevocationDeadline) = (MemberState.Unreleased, long.MaxValue);
            return ErrorCode.None;
        }
        if (beat.InstanceId is not null && _statics.TryGetValue(beat.InstanceId, out var predecessor))
        {
            member = _members[predecessor];
            // A static member of the classic protocol does not say that it leaves: when it is started anew with this one, it takes its place at once.
            if (member.Epoch != ConsumerMember.AwayEpoch && member.Classic is null)
                return ErrorCode.UnreleasedInstanceId;
            Rename(member, beat.MemberId);
            (member.Epoch, member.PreviousEpoch, member.State) = (0, 0, MemberState.Unreleased);
            return ErrorCode.None;
        }
        if (_members.Count >= rules.MaxSize)
            return ErrorCode.GroupMaxSizeReached;
        member = new ConsumerMember
        {
            Id = beat.MemberId, InstanceId = beat.InstanceId, SessionTimeoutMs = rules.SessionTimeoutMs, State = MemberState.Unreleased,
        };
        Add(member);
        Epoch++;
        member.Seen(now);
        return ErrorCode.None;
    }

    private ErrorCode Known(ConsumerHeartbeat beat, out ConsumerMember? member)
    {
        if (beat.InstanceId is not null && _statics.TryGetValue(beat.InstanceId, out var current) && current != beat.MemberId)
        {
            member = null;
            return ErrorCode.FencedInstanceId;
        }
        if (!_members.TryGetValue(beat.MemberId, out member))
            return ErrorCode.UnknownMemberId;
        if (beat.Epoch == member.Epoch)
            return ErrorCode.None;
        // The answer to the last heartbeat was lost: a member that names the epoch before and owns nothing beyond its assignment goes on.
        return beat.Epoch == member.PreviousEpoch && beat.Epoch < member.Epoch && beat.Owned is not null && beat.Owned.TrueForAll(member.Assigned.Contains)
            ? ErrorCode.None
            : ErrorCode.FencedMemberEpoch;
    }

    private HeartbeatResult Leave(ConsumerHeartbeat beat, long now)
    {
        if (beat.InstanceId is not null && _statics.TryGetValue(beat.InstanceId, out var current) && current != beat.MemberId)
            return HeartbeatResult.Failed(ErrorCode.FencedInstanceId, beat.MemberId);
        if (!_members.TryGetValue(beat.MemberId, out var member))
            return HeartbeatResult.Failed(ErrorCode.UnknownMemberId, beat.MemberId);
        if (beat.Epoch == ConsumerMember.AwayEpoch && member.InstanceId is not null)
        {
            // It keeps its partitions until its session ends, so that a restart moves nothing.
            member.Epoch = ConsumerMember.AwayEpoch;
            Effects.Add(new GroupEffect.Persist());
        }
        else
        {
            Remove(member, now);
        }
        return new HeartbeatResult(ErrorCode.None, null, beat.MemberId, beat.Epoch, null);
    }

    /// <summary>Takes over what a member says of itself; whether its subscription has changed.</summary>
    private static bool Update(ConsumerMember member, ConsumerHeartbeat beat)
    {
        // Read from the log, a member's regular expression found only what it had until it was heard again.
        var changed = beat.MayDescribe is not null && member.MayDescribe is null && member.Regex is not null && member.Epoch > 0;
        member.MayDescribe = beat.MayDescribe;
        member.ClientId = beat.ClientId;
        member.ClientHost = beat.ClientHost;
        member.RackId = beat.RackId ?? member.RackId;
        member.Classic = null;
        if (beat.RebalanceTimeoutMs >= 0)
            member.RebalanceTimeoutMs = beat.RebalanceTimeoutMs;
        if (beat.Topics is not null && !beat.Topics.Order(StringComparer.Ordinal).SequenceEqual(member.Topics.Order(StringComparer.Ordinal)))
            (member.Topics, changed) = (beat.Topics, true);
        if (beat.Regex is not null && beat.Regex != (member.Regex ?? ""))
            (member.Regex, changed) = (beat.Regex.Length == 0 ? null : beat.Regex, true);
        if (beat.Assignor is not null && beat.Assignor != member.Assignor)
            (member.Assignor, changed) = (beat.Assignor, true);
        return changed;
    }

    private bool TopicsChanged()
    {
        if (topics.Version == _topicsSeen)
            return false;
        _topicsSeen = topics.Version;
        var hash = new HashCode();
        foreach (var shape in _members.Values.SelectMany(Subscribed).DistinctBy(s => s.Name).OrderBy(s => s.Name, StringComparer.Ordinal))
            hash.Add(shape);
        var now = hash.ToHashCode();
        var changed = now != _shapesHash && _shapesHash != 0;
        _shapesHash = now;
        return changed;
    }

    private List<TopicShape> Subscribed(ConsumerMember member)
    {
        var found = new List<TopicShape>();
        foreach (var name in member.Topics)
        {
            if (topics.Find(name) is { } shape)
                found.Add(shape);
        }
        if (member.Regex is null)
            return found;
        var regex = new Regex("^(?:" + member.Regex + ")$", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        foreach (var shape in topics.All)
        {
            if (!shape.Name.StartsWith("__", StringComparison.Ordinal) && regex.IsMatch(shape.Name) && MaySee(member, shape.Name) && !found.Contains(shape))
                found.Add(shape);
        }
        return found;
    }

    // Who may not describe a topic does not learn of it from what it is assigned (KIP-848, as Kafka 4 resolves expressions).
    private bool MaySee(ConsumerMember member, string topic) =>
        member.MayDescribe?.Invoke(topic) ?? (!rules.HidesTopics || member.Target.Any(p => p.Topic == topic));

    private static string? CheckRegex(string pattern)
    {
        try
        {
            _ = new Regex(pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
            return null;
        }
        catch (ArgumentException error)
        {
            return error.Message;
        }
        catch (NotSupportedException error)
        {
            return error.Message;
        }
    }

    /// <summary>Computes the targets anew when the group has moved on, and takes the member one step towards its own.</summary>
    private void Settle(ConsumerMember member, IReadOnlyCollection<(string, int)>? owned, long now)
    {
        if (Epoch > AssignmentEpoch)
        {
            var wishes = _members.Values.Select(m => new AssignorMember(m.Id, Subscribed(m), m.Target)).ToList();
            foreach (var (id, target) in Assignor.Assign(AssignorName, wishes))
                _members[id].Target = target;
            AssignmentEpoch = Epoch;
        }
        if (member.State == MemberState.Stable && member.Epoch == AssignmentEpoch)
            return;
        if (member.State == MemberState.Unrevoked)
        {
            if (owned is null || member.Revoking.Overlaps(owned))
                return;
            Release(member, member.Revoking);
            member.Revoking = [];
            member.RevocationDeadline = long.MaxValue;
        }
        Step(member, owned, now);
    }

    private void Step(ConsumerMember member, IReadOnlyCollection<(string, int)>? owned, long now)
    {
        var keep = new HashSet<(string, int)>(member.Assigned);
        keep.IntersectWith(member.Target);
        var revoke = new HashSet<(string, int)>(member.Assigned);
        revoke.ExceptWith(keep);
        if (revoke.Count > 0 && (owned is null || revoke.Overlaps(owned)))
        {
            // Its epoch stays, so that it can still commit what it has read.
            (member.Assigned, member.Revoking, member.State) = (keep, revoke, MemberState.Unrevoked);
            member.RevocationDeadline = now + member.RebalanceTimeoutMs;
            return;
        }
        Release(member, revoke);
        var isComplete = true;
        foreach (var place in member.Target)
        {
            if (_owners.TryGetValue(place, out var owner) && owner != member.Id && !rules.Faults.GiveBeforeRevoked)
            {
                isComplete = false;
                continue;
            }
            keep.Add(place);
            _owners[place] = member.Id;
        }
        member.Assigned = keep;
        if (member.Epoch != AssignmentEpoch)
            (member.PreviousEpoch, member.Epoch) = (member.Epoch, AssignmentEpoch);
        member.State = isComplete ? MemberState.Stable : MemberState.Unreleased;
    }

    private void Add(ConsumerMember member)
    {
        _members.Add(member.Id, member);
        if (member.InstanceId is not null)
            _statics[member.InstanceId] = member.Id;
    }

    private void Rename(ConsumerMember member, string id)
    {
        _members.Remove(member.Id);
        foreach (var place in member.Assigned.Concat(member.Revoking))
            _owners[place] = id;
        member.Id = id;
        Add(member);
    }

    private void Remove(ConsumerMember member, long now)
    {
        Release(member, member.Assigned);
        Release(member, member.Revoking);
        _members.Remove(member.Id);
        if (member.InstanceId is not null && _statics.GetValueOrDefault(member.InstanceId) == member.Id)
            _statics.Remove(member.InstanceId);
        Epoch++;
        if (_members.Count == 0)
        {
            AssignmentEpoch = Epoch;
            EmptySince = now;
        }
        Effects.Add(new GroupEffect.Persist());
    }

    private void Release(ConsumerMember member, IEnumerable<(string, int)> places)
    {
        foreach (var place in places)
        {
            if (_owners.GetValueOrDefault(place) == member.Id)
                _owners.Remove(place);
        }
    }
}
