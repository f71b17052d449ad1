using Millrace.Kafka.Messages;
using Millrace.Log.Groups.Consumers;

namespace Millrace.Log.Groups;

/// <summary>
/// A group: who is in it, by whichever protocol, and where it goes on. It goes over from one protocol to the other while members of both are in
/// it. All members are used under <see cref="Gate"/>.
/// </summary>
internal sealed class GroupEntry(string id, GroupRules rules, ConsumerGroupRules consumerRules, ITopicCatalog topics)
{
    public string Id { get; } = id;

    public Lock Gate { get; } = new();

    /// <summary>The group by the classic protocol; without meaning while <see cref="Consumers"/> is there.</summary>
    public ClassicGroup Classic { get; private set; } = new(rules);

    /// <summary>The group by the consumer protocol of Kafka 4 (KIP-848), or null.</summary>
    public ConsumerGroup? Consumers { get; private set; }

    public GroupOffsets Offsets { get; } = new();

    /// <summary>Whether anything was ever written of it, so that deleting needs a tombstone.</summary>
    public bool IsPersisted { get; set; }

    /// <summary>Writes of the group that are not durable yet: nobody may be told of what stands in them.</summary>
    public int Unwritten { get; set; }

    public string State => Consumers?.State ?? Classic.State.ToString();

    public string Type => Consumers is null ? "classic" : "consumer";

    public string ProtocolType => Consumers is null ? Classic.ProtocolType ?? "" : ConsumerProtocol.Type;

    public bool IsDead => Classic.State == GroupState.Dead;

    public bool IsEmpty => Consumers is { } consumers ? consumers.Members.Count == 0 : Classic.State == GroupState.Empty;

    public int MemberCount => Consumers?.Members.Count ?? Classic.Members.Count;

    public long EmptySince => Consumers?.EmptySince ?? Classic.StateSince;

    public long NextDeadline => Consumers?.NextDeadline ?? Classic.NextDeadline;

    /// <summary>A heartbeat of the consumer protocol. The first one makes a classic group of consumers go over.</summary>
    public void ConsumerHeartbeat(ConsumerHeartbeat beat, object token, long now)
    {
        if (Consumers is null && (beat.Epoch != 0 || !GoOver(now)))
        {
            var error = beat.Epoch != 0 ? ErrorCode.UnknownMemberId : ErrorCode.GroupIdNotFound;
            Classic.Effects.Add(new GroupEffect.HeartbeatReply(
                token, HeartbeatResult.Failed(error, beat.MemberId, error == ErrorCode.GroupIdNotFound ? $"group {Id} is not one of consumers" : null)));
            return;
        }
        Consumers!.Heartbeat(beat, token, now);
        GoBackIfClassicOnly(now);
    }

    public void Join(JoinRequest request, object token, long now)
    {
        if (Consumers is { Members.Count: 0 } empty)
        {
            Consumers = null;
            Classic = new ClassicGroup(rules);
            Classic.Restore(empty.Epoch, null, null, null, empty.EmptySince, [], now);
        }
        if (Consumers is null)
            Classic.Join(request, token, now);
        else
            Consumers.JoinClassic(request, token, now);
    }

    public void Sync(
        string memberId, string? instanceId, int generation, string? protocolType, string? protocolName,
        IReadOnlyDictionary<string, ReadOnlyMemory<byte>> assignments, object token, long now)
    {
        if (Consumers is null)
            Classic.Sync(memberId, instanceId, generation, protocolType, protocolName, assignments, token, now);
        else
            Consumers.SyncClassic(memberId, instanceId, generation, token, now);
    }

    public ErrorCode Heartbeat(string memberId, string? instanceId, int generation, long now) =>
        Consumers is null ? Classic.Heartbeat(memberId, instanceId, generation, now) : Consumers.HeartbeatClassic(memberId, instanceId, generation, now);

    public ErrorCode Leave(string memberId, string? instanceId, long now)
    {
        if (Consumers is null)
            return Classic.Leave(memberId, instanceId, now);
        return Consumers.LeaveClassic(memberId, instanceId, now);
    }

    public ErrorCode CheckCommit(string memberId, string? instanceId, int generation, long now, bool transactional) =>
        Consumers is null ? Classic.CheckCommit(memberId, instanceId, generation, now, transactional) : Consumers.CheckCommit(memberId, instanceId, generation, transactional);

    public void Tick(long now)
    {
        if (Consumers is null)
        {
            Classic.Tick(now);
            return;
        }
        Consumers.Tick(now);
        GoBackIfClassicOnly(now);
    }

    public void Kill(long now)
    {
        Consumers = null;
        Classic.Kill(now);
    }

    public void RestoreConsumers(ConsumerGroupValue value, long now)
    {
        Consumers = new ConsumerGroup(consumerRules, topics);
        Consumers.Restore(value.Epoch, value.AssignmentEpoch, Math.Min(value.EmptySince, now), value.ToMembers(), now);
    }

    /// <summary>Who reads what, by client id.</summary>
    public IEnumerable<(string Topic, int Partition, string ClientId)> Readers() => Consumers is null
        ? Classic.Members.SelectMany(m => ConsumerProtocol.Assigned(m.Assignment).Select(p => (p.Topic, p.Partition, m.ClientId)))
        : Consumers.Members.SelectMany(m => m.Assigned.Select(p => (p.Topic, p.Partition, m.ClientId)));

    public IEnumerable<string> SubscribedTopics() => Consumers is null
        ? Classic.Members.SelectMany(m => ConsumerProtocol.Subscribed(m.MetadataOf(Classic.Protocol)))
        : Consumers.Members.SelectMany(m => m.Topics.Concat(m.Assigned.Select(a => a.Topic)));

    /// <summary>What members wait for, and what is to be written; taken once.</summary>
    public List<GroupEffect> TakeEffects()
    {
        if (Classic.Effects.Count == 0 && Consumers is not { Effects.Count: > 0 })
            return [];
        var effects = new List<GroupEffect>(Classic.Effects);
        Classic.Effects.Clear();
        if (Consumers is null)
            return effects;
        effects.AddRange(Consumers.Effects);
        Consumers.Effects.Clear();
        return effects;
    }

    private bool GoOver(long now)
    {
        if (Classic.State == GroupState.Dead)
            return false;
        var isOfConsumers = Classic.State == GroupState.Empty
            || (Classic.ProtocolType == ConsumerProtocol.Type && Classic.Members.All(m => ConsumerProtocol.Subscribed(m.Protocols[0].Metadata).Count > 0));
        if (!isOfConsumers)
            return false;
        Consumers = new ConsumerGroup(consumerRules, topics);
        var members = Classic.Surrender();
        Consumers.TakeOver(Classic.Generation, members, now);
        return true;
    }

    /// <summary>When the last member of the new protocol has gone, those of the old one are a classic group again.</summary>
    private void GoBackIfClassicOnly(long now)
    {
        if (Consumers is not { IsClassicOnly: true } consumers)
            return;
        var effects = consumers.Effects;
        Consumers = null;
        Classic = new ClassicGroup(rules);
        // The generation that its members have, not the group's newer epoch: so they are asked to join again, and not taken for strangers.
        Classic.Restore(consumers.Members.Max(m => m.Epoch), ConsumerProtocol.Type, null, null, now, consumers.ToClassic(), now);
        Classic.Rebalance(now);
        Classic.Effects.InsertRange(0, effects);
    }
}
