using Millrace.Kafka.Messages;
using Millrace.Log.Storage;

namespace Millrace.Log.Groups;

/// <summary>States of a classic group, by the names that tools show.</summary>
internal enum GroupState
{
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
}

/// <param name="InitialRebalanceDelayMs">How long the first members of an empty group are waited for.</param>
/// <param name="MaxSize">Members of one group.</param>
internal sealed record GroupRules(int InitialRebalanceDelayMs, int MaxSize)
{
    public LogFaults Faults { get; init; } = LogFaults.None;
}

/// <summary>
/// The classic group protocol as a pure machine: time and member ids come in, answers and a wish to persist come out as effects.
/// After Kafka's group coordinator (KIP-62, 134, 345, 394, 814). Not thread-safe; the shell holds the group's lock.
/// </summary>
internal sealed class ClassicGroup(GroupRules rules)
{
    private readonly Dictionary<string, GroupMember> _members = [];
    private readonly Dictionary<string, string> _staticMembers = [];
    private readonly Dictionary<string, long> _pending = [];
    private readonly HashSet<string> _unsynced = [];
    private long _joinDeadline = long.MaxValue;
    private long _initialDelayEnd = long.MaxValue;
    private long _syncDeadline = long.MaxValue;

    public GroupState State { get; private set; }

    public int Generation { get; private set; }

    public string? ProtocolType { get; private set; }

    public string? Protocol { get; private set; }

    public string? LeaderId { get; private set; }

    /// <summary>When the state was entered, in milliseconds of Unix time.</summary>
    public long StateSince { get; private set; }

    public IReadOnlyCollection<GroupMember> Members => _members.Values;

    public List<GroupEffect> Effects { get; } = [];

    /// <summary>When <see cref="Tick"/> next has something to do; <see cref="long.MaxValue"/> when never.</summary>
    public long NextDeadline
    {
        get
        {
            var next = Math.Min(_joinDeadline, _syncDeadline);
            foreach (var expiry in _pending.Values)
                next = Math.Min(next, expiry);
            foreach (var member in _members.Values)
            {
                if (!member.IsWaiting)
                    next = Math.Min(next, member.SessionDeadline);
            }
            return next;
        }
    }

    public GroupMember? Member(string id) => _members.GetValueOrDefault(id);

    /// <summary>A member joins or joins again; it is answered by an effect, now or when the join phase ends.</summary>
    public void Join(JoinRequest request, object token, long now)
    {
        var error = CheckJoin(request);
        if (error != ErrorCode.None)
            Reply(token, JoinResult.Failed(request.MemberId, error));
        else if (request.MemberId.Length == 0)
            JoinWithoutId(request, token, now);
        else
            JoinWithId(request, token, now);
    }

    /// <summary>A member asks for its assignment; the leader brings everyone's.</summary>
    public void Sync(
        string memberId, string? instanceId, int generation, string? protocolType, string? protocolName,
        IReadOnlyDictionary<string, ReadOnlyMemory<byte>> assignments, object token, long now)
    {
        var error = CheckMember(memberId, instanceId, generation);
        if (error == ErrorCode.None
            && ((protocolType is not null && protocolType != ProtocolType) || (protocolName is not null && protocolName != Protocol)))
        {
            error = ErrorCode.InconsistentGroupProtocol;
        }
        if (error == ErrorCode.None && State == GroupState.PreparingRebalance)
            error = ErrorCode.RebalanceInProgress;
        if (error != ErrorCode.None)
        {
            Effects.Add(new GroupEffect.SyncReply(token, SyncResult.Failed(error)));
            return;
        }
        var member = _members[memberId];
        member.Seen(now);
        if (State == GroupState.Stable)
        {
            Effects.Add(new GroupEffect.SyncReply(token, Assigned(member)));
            return;
        }
        // A client that asks again on a new connection has given up the old answer.
        if (member.Syncing is { } earlier)
            Effects.Add(new GroupEffect.SyncReply(earlier, SyncResult.Failed(ErrorCode.RebalanceInProgress)));
        member.Syncing = token;
        _unsynced.Remove(memberId);
        if (memberId == LeaderId)
            Assign(assignments, now);
    }

    public ErrorCode Heartbeat(string memberId, string? instanceId, int generation, long now)
    {
        var error = CheckMember(memberId, instanceId, generation);
        if (error != ErrorCode.None)
            return error;
        _members[memberId].Seen(now);
        return State == GroupState.PreparingRebalance ? ErrorCode.RebalanceInProgress : ErrorCode.None;
    }

    /// <summary>A member leaves, or an administrator removes a static one by its instance id alone.</summary>
    public ErrorCode Leave(string memberId, string? instanceId, long now)
    {
        if (instanceId is not null)
        {
            if (!_staticMembers.TryGetValue(instanceId, out var current))
                return ErrorCode.UnknownMemberId;
            if (memberId.Length > 0 && memberId != current)
                return ErrorCode.FencedInstanceId;
            memberId = current;
        }
        if (_pending.Remove(memberId))
        {
            CompleteJoinIfAllAreHere(now);
            return ErrorCode.None;
        }
        if (!_members.ContainsKey(memberId))
            return ErrorCode.UnknownMemberId;
        Remove(memberId, ErrorCode.UnknownMemberId, now);
        return ErrorCode.None;
    }

    /// <summary>Whether an offset commit may be made, and counts it as a sign of life.</summary>
    public ErrorCode CheckCommit(string memberId, string? instanceId, int generation, long now, bool transactional)
    {
        if (generation < 0 && State == GroupState.Empty)
            return ErrorCode.None;
        if (generation < 0 && memberId.Length == 0 && instanceId is null)
            return transactional ? ErrorCode.None : ErrorCode.UnknownMemberId;
        var error = CheckMember(memberId, instanceId, generation);
        if (error == ErrorCode.FencedInstanceId && rules.Faults.KeepOldInstance)
            return ErrorCode.None;
        if (error != ErrorCode.None)
            return error;
        if (State == GroupState.CompletingRebalance)
            return ErrorCode.RebalanceInProgress;
        _members[memberId].Seen(now);
        return ErrorCode.None;
    }

    /// <summary>Does what is due: members without a sign of life go, phases end.</summary>
    public void Tick(long now)
    {
        foreach (var (id, expiry) in new List<KeyValuePair<string, long>>(_pending))
        {
            if (expiry <= now)
                _pending.Remove(id);
        }
        foreach (var member in new List<GroupMember>(_members.Values))
        {
            if (!member.IsWaiting && member.SessionDeadline <= now && _members.ContainsKey(member.Id))
                Remove(member.Id, ErrorCode.UnknownMemberId, now);
        }
        if (State == GroupState.CompletingRebalance && _syncDeadline <= now)
            DropUnsynced(now);
        if (State != GroupState.PreparingRebalance)
            return;
        if (_joinDeadline <= now)
            EndJoinPhase(now);
        else
            CompleteJoinIfAllAreHere(now);
    }

    /// <summary>Everyone is told that the group is gone.</summary>
    public void Kill(long now)
    {
        foreach (var member in new List<GroupMember>(_members.Values))
            Dismiss(member, ErrorCode.UnknownMemberId);
        _members.Clear();
        _staticMembers.Clear();
        Enter(GroupState.Dead, now);
    }

    /// <summary>Takes over what was persisted: a stable group with its members, or an empty one.</summary>
    public void Restore(int generation, string? protocolType, string? protocol, string? leader, long stateSince, IEnumerable<GroupMember> members, long now)
    {
        Generation = generation;
        foreach (var member in members)
        {
            _members[member.Id] = member;
            if (member.InstanceId is not null)
                _staticMembers[member.InstanceId] = member.Id;
            member.Seen(now);
        }
        ProtocolType = string.IsNullOrEmpty(protocolType) ? null : protocolType;
        Protocol = protocol;
        LeaderId = leader;
        State = _members.Count == 0 ? GroupState.Empty : GroupState.Stable;
        StateSince = stateSince;
    }

    /// <summary>Everyone must join again.</summary>
    public void Rebalance(long now)
    {
        if (State is GroupState.Stable or GroupState.CompletingRebalance)
            PrepareRebalance(now);
        Effects.Add(new GroupEffect.Persist());
    }

    /// <summary>Gives its members away: who waits for an answer is told to come again.</summary>
    public List<GroupMember> Surrender()
    {
        var members = new List<GroupMember>(_members.Values);
        foreach (var member in members)
            Dismiss(member, ErrorCode.RebalanceInProgress);
        _members.Clear();
        _staticMembers.Clear();
        _pending.Clear();
        return members;
    }

    private ErrorCode CheckJoin(JoinRequest request)
    {
        if (State == GroupState.Dead)
            return ErrorCode.UnknownMemberId;
        if (request.Protocols.Count == 0 || request.ProtocolType.Length == 0)
            return ErrorCode.InconsistentGroupProtocol;
        if (State != GroupState.Empty && !CanFollow(request))
            return ErrorCode.InconsistentGroupProtocol;
        var known = _members.ContainsKey(request.MemberId) || _pending.ContainsKey(request.MemberId)
            || (request.InstanceId is not null && _staticMembers.ContainsKey(request.InstanceId));
        return !known && _members.Count + _pending.Count >= rules.MaxSize ? ErrorCode.GroupMaxSizeReached : ErrorCode.None;
    }

    private bool CanFollow(JoinRequest request)
    {
        if (ProtocolType is not null && request.ProtocolType != ProtocolType)
            return false;
        foreach (var protocol in request.Protocols)
        {
            var all = true;
            foreach (var member in _members.Values)
                all &= member.Id == request.MemberId || (member.InstanceId is not null && member.InstanceId == request.InstanceId) || member.Supports(protocol.Name);
            if (all)
                return true;
        }
        return _members.Count == 0;
    }

    private void JoinWithoutId(JoinRequest request, object token, long now)
    {
        if (request.InstanceId is not null)
        {
            if (_staticMembers.TryGetValue(request.InstanceId, out var replaced))
                ReplaceStatic(replaced, request, token, now);
            else
                Add(request, request.NewMemberId, token, now);
            return;
        }
        if (request.RequiresKnownMemberId)
        {
            _pending[request.NewMemberId] = now + request.SessionTimeoutMs;
            Reply(token, JoinResult.Failed(request.NewMemberId, ErrorCode.MemberIdRequired));
            return;
        }
        Add(request, request.NewMemberId, token, now);
    }

    private void JoinWithId(JoinRequest request, object token, long now)
    {
        if (request.InstanceId is not null)
        {
            var fenced = CheckInstance(request.MemberId, request.InstanceId);
            if (fenced != ErrorCode.None)
            {
                Reply(token, JoinResult.Failed(request.MemberId, fenced));
                return;
            }
        }
        else if (_pending.Remove(request.MemberId))
        {
            Add(request, request.MemberId, token, now);
            return;
        }
        if (!_members.TryGetValue(request.MemberId, out var member))
        {
            Reply(token, JoinResult.Failed(request.MemberId, ErrorCode.UnknownMemberId));
            return;
        }
        member.Seen(now);
        var changed = !member.Matches(request.Protocols);
        if (State == GroupState.PreparingRebalance || changed || (State == GroupState.Stable && member.Id == LeaderId))
        {
            Update(member, request, token);
            PrepareRebalance(now);
            CompleteJoinIfAllAreHere(now);
            return;
        }
        // The answer to the last join was lost: the member learns again of the generation that runs.
        Reply(token, Joined(member, skipAssignment: false));
    }

    private void Add(JoinRequest request, string memberId, object token, long now)
    {
        var member = new GroupMember
        {
            Id = memberId,
            InstanceId = request.InstanceId,
            ClientId = request.ClientId,
            ClientHost = request.ClientHost,
            SessionTimeoutMs = request.SessionTimeoutMs,
            RebalanceTimeoutMs = request.RebalanceTimeoutMs,
            Protocols = request.Protocols,
            Joining = token,
        };
        member.Seen(now);
        if (_members.Count == 0)
            ProtocolType = request.ProtocolType;
        _members.Add(memberId, member);
        if (request.InstanceId is not null)
            _staticMembers[request.InstanceId] = memberId;
        LeaderId ??= memberId;
        PrepareRebalance(now);
        if (_initialDelayEnd != long.MaxValue)
            _joinDeadline = Math.Min(_initialDelayEnd, now + rules.InitialRebalanceDelayMs);
        CompleteJoinIfAllAreHere(now);
    }

    private void ReplaceStatic(string oldId, JoinRequest request, object token, long now)
    {
        var member = _members[oldId];
        Dismiss(member, ErrorCode.FencedInstanceId);
        var unchanged = State == GroupState.Stable && member.Supports(Protocol ?? "")
            && Protocol == SelectProtocol(member, request.Protocols)
            && MetadataIn(request.Protocols, Protocol).Span.SequenceEqual(member.MetadataOf(Protocol).Span);
        _members.Remove(oldId);
        member.Id = request.NewMemberId;
        _members.Add(member.Id, member);
        _staticMembers[request.InstanceId!] = member.Id;
        _unsynced.Remove(oldId);
        var wasLeader = LeaderId == oldId;
        if (wasLeader)
            LeaderId = member.Id;
        member.Seen(now);
        if (!unchanged)
        {
            Update(member, request, token);
            PrepareRebalance(now);
            CompleteJoinIfAllAreHere(now);
            return;
        }
        member.Protocols = request.Protocols;
        (member.ClientId, member.ClientHost) = (request.ClientId, request.ClientHost);
        (member.SessionTimeoutMs, member.RebalanceTimeoutMs) = (request.SessionTimeoutMs, request.RebalanceTimeoutMs);
        Effects.Add(new GroupEffect.Persist());
        // A returning leader need not assign again; one that cannot be told so is shown another leader, so that it does not try (KIP-345).
        var result = Joined(member, skipAssignment: wasLeader && request.SupportsSkippingAssignment);
        if (wasLeader && !request.SupportsSkippingAssignment)
            result = result with { Leader = oldId, Members = [] };
        Reply(token, result);
    }

    private void Update(GroupMember member, JoinRequest request, object token)
    {
        if (member.Joining is { } earlier && !ReferenceEquals(earlier, token))
            Reply(earlier, JoinResult.Failed(member.Id, ErrorCode.RebalanceInProgress));
        member.Protocols = request.Protocols;
        (member.ClientId, member.ClientHost) = (request.ClientId, request.ClientHost);
        (member.SessionTimeoutMs, member.RebalanceTimeoutMs) = (request.SessionTimeoutMs, request.RebalanceTimeoutMs);
        member.Joining = token;
    }

    private void PrepareRebalance(long now)
    {
        if (State == GroupState.PreparingRebalance)
            return;
        if (State == GroupState.CompletingRebalance)
            RefuseSyncs(ErrorCode.RebalanceInProgress);
        var fresh = State == GroupState.Empty && rules.InitialRebalanceDelayMs > 0;
        var longest = LongestRebalance();
        _initialDelayEnd = fresh ? now + longest : long.MaxValue;
        _joinDeadline = now + (fresh ? Math.Min(rules.InitialRebalanceDelayMs, longest) : longest);
        _syncDeadline = long.MaxValue;
        Enter(GroupState.PreparingRebalance, now);
    }

    private void CompleteJoinIfAllAreHere(long now)
    {
        // The initial delay is waited out even when everyone known is here: the unknown ones are the point of it.
        if (State != GroupState.PreparingRebalance || _initialDelayEnd != long.MaxValue || _pending.Count > 0)
            return;
        foreach (var member in _members.Values)
        {
            if (member.Joining is null)
                return;
        }
        EndJoinPhase(now);
    }

    private void EndJoinPhase(long now)
    {
        foreach (var member in new List<GroupMember>(_members.Values))
        {
            if (member.Joining is null && member.InstanceId is null)
                Forget(member);
        }
        if (_members.Count > 0 && (LeaderId is null || !_members.TryGetValue(LeaderId, out var leader) || leader.Joining is null))
        {
            LeaderId = null;
            foreach (var member in _members.Values)
            {
                if (member.Joining is not null)
                    LeaderId ??= member.Id;
            }
            if (LeaderId is null)
            {
                // Only static members are left, and none has come back yet: they have another round.
                _joinDeadline = now + LongestRebalance();
                return;
            }
        }
        _joinDeadline = _initialDelayEnd = long.MaxValue;
        Generation++;
        if (_members.Count == 0)
        {
            BecomeEmpty(now);
            return;
        }
        Protocol = SelectProtocol(null, []);
        Enter(GroupState.CompletingRebalance, now);
        _syncDeadline = now + LongestRebalance();
        _unsynced.Clear();
        foreach (var member in _members.Values)
        {
            member.Assignment = default;
            _unsynced.Add(member.Id);
            member.Seen(now);
            if (member.Joining is not { } token)
                continue;
            member.Joining = null;
            Reply(token, Joined(member, skipAssignment: false));
        }
    }

    private void Assign(IReadOnlyDictionary<string, ReadOnlyMemory<byte>> assignments, long now)
    {
        _syncDeadline = long.MaxValue;
        _unsynced.Clear();
        Enter(GroupState.Stable, now);
        foreach (var member in _members.Values)
            member.Assignment = assignments.TryGetValue(member.Id, out var assigned) ? assigned : default;
        Effects.Add(new GroupEffect.Persist());
        foreach (var member in _members.Values)
        {
            if (member.Syncing is not { } token)
                continue;
            member.Syncing = null;
            member.Seen(now);
            Effects.Add(new GroupEffect.SyncReply(token, Assigned(member)));
        }
    }

    private void Remove(string memberId, ErrorCode reason, long now)
    {
        var member = _members[memberId];
        Dismiss(member, reason);
        Forget(member);
        switch (State)
        {
            case GroupState.Stable or GroupState.CompletingRebalance:
                PrepareRebalance(now);
                CompleteJoinIfAllAreHere(now);
                break;
            case GroupState.PreparingRebalance:
                CompleteJoinIfAllAreHere(now);
                break;
        }
    }

    private void DropUnsynced(long now)
    {
        foreach (var id in new List<string>(_unsynced))
        {
            if (_members.TryGetValue(id, out var member))
                Forget(member);
        }
        _unsynced.Clear();
        PrepareRebalance(now);
        CompleteJoinIfAllAreHere(now);
    }

    private void BecomeEmpty(long now)
    {
        Protocol = null;
        LeaderId = null;
        Enter(GroupState.Empty, now);
        Effects.Add(new GroupEffect.Persist());
    }

    private void Forget(GroupMember member)
    {
        _members.Remove(member.Id);
        _unsynced.Remove(member.Id);
        if (member.InstanceId is not null && _staticMembers.GetValueOrDefault(member.InstanceId) == member.Id)
            _staticMembers.Remove(member.InstanceId);
        if (LeaderId == member.Id)
            LeaderId = null;
        if (LeaderId is null && State != GroupState.PreparingRebalance)
        {
            foreach (var other in _members.Keys)
                LeaderId ??= other;
        }
    }

    private void Dismiss(GroupMember member, ErrorCode reason)
    {
        if (member.Joining is { } joining)
            Reply(joining, JoinResult.Failed(member.Id, reason));
        if (member.Syncing is { } syncing)
            Effects.Add(new GroupEffect.SyncReply(syncing, SyncResult.Failed(reason)));
        member.Joining = member.Syncing = null;
    }

    private void RefuseSyncs(ErrorCode reason)
    {
        foreach (var member in _members.Values)
        {
            member.Assignment = default;
            if (member.Syncing is not { } token)
                continue;
            member.Syncing = null;
            Effects.Add(new GroupEffect.SyncReply(token, SyncResult.Failed(reason)));
        }
    }

    private ErrorCode CheckMember(string memberId, string? instanceId, int generation)
    {
        if (State is GroupState.Dead or GroupState.Empty)
            return ErrorCode.UnknownMemberId;
        if (instanceId is not null && CheckInstance(memberId, instanceId) is var fenced and not ErrorCode.None)
            return fenced;
        if (!_members.ContainsKey(memberId))
            return ErrorCode.UnknownMemberId;
        return generation == Generation || rules.Faults.AcceptStaleCommits ? ErrorCode.None : ErrorCode.IllegalGeneration;
    }

    private ErrorCode CheckInstance(string memberId, string instanceId)
    {
        if (!_staticMembers.TryGetValue(instanceId, out var current))
            return ErrorCode.UnknownMemberId;
        return current == memberId ? ErrorCode.None : ErrorCode.FencedInstanceId;
    }

    /// <summary>Each member votes for its first protocol that all follow; the most votes win.</summary>
    private string? SelectProtocol(GroupMember? replaced, IReadOnlyList<GroupProtocol> instead)
    {
        var votes = new Dictionary<string, int>();
        foreach (var member in _members.Values)
        {
            foreach (var protocol in member == replaced ? instead : member.Protocols)
            {
                var all = true;
                foreach (var other in _members.Values)
                    all &= other == replaced ? MetadataOrNull(instead, protocol.Name) : other.Supports(protocol.Name);
                if (!all)
                    continue;
                votes[protocol.Name] = votes.GetValueOrDefault(protocol.Name) + 1;
                break;
            }
        }
        string? winner = null;
        foreach (var (name, count) in votes)
        {
            if (winner is null || count > votes[winner])
                winner = name;
        }
        return winner;
    }

    private static bool MetadataOrNull(IReadOnlyList<GroupProtocol> protocols, string name)
    {
        foreach (var protocol in protocols)
        {
            if (protocol.Name == name)
                return true;
        }
        return false;
    }

    private static ReadOnlyMemory<byte> MetadataIn(IReadOnlyList<GroupProtocol> protocols, string? name)
    {
        foreach (var protocol in protocols)
        {
            if (protocol.Name == name)
                return protocol.Metadata;
        }
        return default;
    }

    private int LongestRebalance()
    {
        var longest = 0;
        foreach (var member in _members.Values)
            longest = Math.Max(longest, member.RebalanceTimeoutMs);
        return longest;
    }

    private JoinResult Joined(GroupMember member, bool skipAssignment) => new()
    {
        MemberId = member.Id,
        Generation = Generation,
        ProtocolType = ProtocolType,
        ProtocolName = Protocol,
        Leader = LeaderId ?? "",
        SkipAssignment = skipAssignment,
        Members = member.Id == LeaderId
            ? [.. _members.Values.Select(m => (m.Id, m.InstanceId, m.MetadataOf(Protocol)))]
            : [],
    };

    private SyncResult Assigned(GroupMember member) => new(ErrorCode.None, ProtocolType, Protocol, member.Assignment);

    private void Reply(object token, JoinResult result) => Effects.Add(new GroupEffect.JoinReply(token, result));

    private void Enter(GroupState state, long now)
    {
        State = state;
        StateSince = now;
    }
}
