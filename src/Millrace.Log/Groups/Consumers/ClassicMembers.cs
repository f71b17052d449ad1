using Millrace.Kafka.Messages;

namespace Millrace.Log.Groups.Consumers;

/// <summary>
/// Members of a consumer group that speak the classic protocol, while a group goes over: a join is their full heartbeat, the generation is
/// their epoch, and nobody is the leader (KIP-848, migration).
/// </summary>
internal sealed partial class ConsumerGroup
{
    private readonly Dictionary<string, long> _pending = [];

    /// <summary>Whether all that are left speak the classic protocol, so that the group can be a classic one again.</summary>
    public bool IsClassicOnly => _members.Count > 0 && _members.Values.All(m => m.Classic is not null);

    public void JoinClassic(JoinRequest request, object token, long now)
    {
        var result = Join(request, now);
        Effects.Add(new GroupEffect.JoinReply(token, result));
    }

    public void SyncClassic(string memberId, string? instanceId, int generation, object token, long now)
    {
        var error = CheckClassic(memberId, instanceId, generation);
        var member = error == ErrorCode.None ? _members[memberId] : null;
        if (member is not null && Epoch > member.Epoch && member.State != MemberState.Unrevoked)
            error = ErrorCode.RebalanceInProgress;
        member?.Seen(now);
        Effects.Add(new GroupEffect.SyncReply(token, error == ErrorCode.None
            ? new SyncResult(ErrorCode.None, ConsumerProtocol.Type, member!.Classic![0].Name, ConsumerProtocol.EncodeAssignment(member.Assigned))
            : SyncResult.Failed(error)));
    }

    public ErrorCode HeartbeatClassic(string memberId, string? instanceId, int generation, long now)
    {
        var error = CheckClassic(memberId, instanceId, generation);
        if (error != ErrorCode.None)
            return error;
        var member = _members[memberId];
        member.Seen(now);
        var mustRejoin = member.Epoch < Epoch || member.State == MemberState.Unrevoked
            || (member.State == MemberState.Unreleased && member.Target.All(p => !_owners.TryGetValue(p, out var owner) || owner == member.Id));
        return mustRejoin ? ErrorCode.RebalanceInProgress : ErrorCode.None;
    }

    public ErrorCode LeaveClassic(string memberId, string? instanceId, long now)
    {
        if (instanceId is not null && memberId.Length == 0)
            memberId = _statics.GetValueOrDefault(instanceId, "");
        if (!_members.TryGetValue(memberId, out var member))
            return ErrorCode.UnknownMemberId;
        Remove(member, now);
        return ErrorCode.None;
    }

    /// <summary>Takes over a stable classic group as it is: everyone keeps what it reads.</summary>
    public void TakeOver(int generation, IEnumerable<GroupMember> members, long now)
    {
        Epoch = AssignmentEpoch = Math.Max(generation, 1);
        foreach (var old in members)
        {
            var subscription = ConsumerProtocol.SubscriptionOf(old.Protocols[0].Metadata);
            var member = new ConsumerMember
            {
                Id = old.Id,
                InstanceId = old.InstanceId,
                ClientId = old.ClientId,
                ClientHost = old.ClientHost,
                SessionTimeoutMs = old.SessionTimeoutMs,
                RebalanceTimeoutMs = old.RebalanceTimeoutMs,
                Topics = subscription.Topics,
                Classic = old.Protocols,
                Epoch = generation,
                PreviousEpoch = generation,
                Assigned = [.. ConsumerProtocol.Assigned(old.Assignment)],
            };
            member.Target = [.. member.Assigned];
            foreach (var place in member.Assigned)
                _owners[place] = member.Id;
            Add(member);
            member.Seen(now);
        }
        Effects.Add(new GroupEffect.Persist());
    }

    /// <summary>The members as a classic group has them.</summary>
    public List<GroupMember> ToClassic() => [.. _members.Values.Select(m => new GroupMember
    {
        Id = m.Id,
        InstanceId = m.InstanceId,
        ClientId = m.ClientId,
        ClientHost = m.ClientHost,
        SessionTimeoutMs = m.SessionTimeoutMs,
        RebalanceTimeoutMs = m.RebalanceTimeoutMs,
        Protocols = m.Classic!,
        Assignment = ConsumerProtocol.EncodeAssignment(m.Assigned),
    })];

    /// <summary>Brings back what was written.</summary>
    public void Restore(int epoch, int assignmentEpoch, long emptySince, IEnumerable<ConsumerMember> members, long now)
    {
        (Epoch, AssignmentEpoch, EmptySince) = (epoch, assignmentEpoch, emptySince);
        foreach (var member in members)
        {
            foreach (var place in member.Assigned.Concat(member.Revoking))
                _owners[place] = member.Id;
            if (member.State == MemberState.Unrevoked)
                member.RevocationDeadline = now + member.RebalanceTimeoutMs;
            Add(member);
            member.Seen(now);
        }
    }

    private JoinResult Join(JoinRequest request, long now)
    {
        if (request.ProtocolType != ConsumerProtocol.Type || request.Protocols.Count == 0)
            return JoinResult.Failed(request.MemberId, ErrorCode.InconsistentGroupProtocol);
        var error = FindClassic(request, now, out var member);
        if (error != ErrorCode.None)
            return JoinResult.Failed(error == ErrorCode.MemberIdRequired ? request.NewMemberId : request.MemberId, error);
        var subscription = ConsumerProtocol.SubscriptionOf(request.Protocols[0].Metadata);
        member!.ClientId = request.ClientId;
        member.ClientHost = request.ClientHost;
        member.RebalanceTimeoutMs = request.RebalanceTimeoutMs;
        member.SessionTimeoutMs = request.SessionTimeoutMs;
        member.Classic = request.Protocols;
        var changed = !subscription.Topics.Order(StringComparer.Ordinal).SequenceEqual(member.Topics.Order(StringComparer.Ordinal));
        member.Topics = subscription.Topics;
        if (changed | TopicsChanged())
            Epoch++;
        Settle(member, subscription.Owned, now);
        member.Seen(now);
        Effects.Add(new GroupEffect.Persist());
        return new JoinResult
        {
            MemberId = member.Id, Generation = member.Epoch, ProtocolType = ConsumerProtocol.Type, ProtocolName = request.Protocols[0].Name,
        };
    }

    private ErrorCode FindClassic(JoinRequest request, long now, out ConsumerMember? member)
    {
        foreach (var (id, expiry) in _pending.ToList())
        {
            if (expiry <= now)
                _pending.Remove(id);
        }
        if (_members.TryGetValue(request.MemberId, out member))
            return request.InstanceId is not null && member.InstanceId != request.InstanceId ? ErrorCode.FencedInstanceId : ErrorCode.None;
        if (request.InstanceId is not null && _statics.TryGetValue(request.InstanceId, out var predecessor))
        {
            if (request.MemberId.Length > 0)
                return ErrorCode.FencedInstanceId;
            member = _members[predecessor];
            Rename(member, request.NewMemberId);
            (member.Epoch, member.PreviousEpoch, member.State) = (0, 0, MemberState.Unreleased);
            return ErrorCode.None;
        }
        var isPending = _pending.Remove(request.MemberId);
        if (request.MemberId.Length > 0 && !isPending)
            return ErrorCode.UnknownMemberId;
        if (_members.Count + _pending.Count >= rules.MaxSize)
            return ErrorCode.GroupMaxSizeReached;
        if (request.MemberId.Length == 0 && request.InstanceId is null && request.RequiresKnownMemberId)
        {
            _pending[request.NewMemberId] = now + request.SessionTimeoutMs;
            return ErrorCode.MemberIdRequired;
        }
        member = new ConsumerMember
        {
            Id = isPending ? request.MemberId : request.NewMemberId, InstanceId = request.InstanceId, State = MemberState.Unreleased,
        };
        Add(member);
        Epoch++;
        return ErrorCode.None;
    }

    private ErrorCode CheckClassic(string memberId, string? instanceId, int generation)
    {
        if (instanceId is not null && _statics.TryGetValue(instanceId, out var current) && current != memberId)
            return ErrorCode.FencedInstanceId;
        if (!_members.TryGetValue(memberId, out var member) || member.Classic is null)
            return ErrorCode.UnknownMemberId;
        return generation == member.Epoch ? ErrorCode.None : ErrorCode.IllegalGeneration;
    }
}
