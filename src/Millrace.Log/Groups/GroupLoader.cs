using Millrace.Log.Groups.Consumers;
using Millrace.Log.Storage;

namespace Millrace.Log.Groups;

/// <summary>Brings groups back from their log at start-up, and says how a group is written there.</summary>
internal sealed class GroupLoader(GroupCoordinator coordinator, long now)
{
    private readonly Dictionary<long, List<StateRecord>> _open = [];

    public void Load(InternalLog log)
    {
        log.ReadAll(batch =>
        {
            if (batch.Marker != Marker.None)
            {
                if (_open.Remove(batch.ProducerId, out var held) && batch.Marker == Marker.Commit)
                    held.ForEach(r => Apply(r, -1));
            }
            else if (batch.IsTransactional)
            {
                if (!_open.TryGetValue(batch.ProducerId, out var held))
                    _open[batch.ProducerId] = held = [];
                held.AddRange(batch.Records);
            }
            else
            {
                foreach (var record in batch.Records)
                    Apply(record, -1);
            }
        });
        // Transactions that have no marker yet keep their offsets waiting.
        foreach (var (producerId, held) in _open)
            held.ForEach(r => Apply(r, producerId));
    }

    public static GroupValue Describe(ClassicGroup group)
    {
        var value = new GroupValue
        {
            ProtocolType = group.ProtocolType ?? "",
            Generation = group.Generation,
            Protocol = group.Protocol,
            Leader = group.LeaderId,
            StateSince = group.StateSince,
        };
        foreach (var member in group.Members)
        {
            value.Members.Add(new GroupValue.MemberValue
            {
                MemberId = member.Id,
                GroupInstanceId = member.InstanceId,
                ClientId = member.ClientId,
                ClientHost = member.ClientHost,
                RebalanceTimeout = member.RebalanceTimeoutMs,
                SessionTimeout = member.SessionTimeoutMs,
                Subscription = member.MetadataOf(group.Protocol),
                Assignment = member.Assignment,
            });
        }
        return value;
    }

    private void Apply(StateRecord record, long heldBy)
    {
        switch (GroupRecords.VersionOf(record.Key))
        {
            case 0 or GroupRecords.OffsetKeyVersion:
                ApplyOffset(GroupRecords.Decode<OffsetKey>(record.Key), record.Value, heldBy);
                break;
            case GroupRecords.GroupKeyVersion:
                ApplyGroup(GroupRecords.Decode<GroupKey>(record.Key).Group, record.Value);
                break;
        }
    }

    private void ApplyOffset(OffsetKey key, byte[]? value, long heldBy)
    {
        var offsets = coordinator.Loaded(key.Group).Offsets;
        if (value is null)
        {
            offsets.Remove(key.Topic, key.Partition);
            return;
        }
        var decoded = GroupRecords.Decode<OffsetValue>(value);
        var offset = new CommittedOffset(decoded.Offset, decoded.LeaderEpoch, decoded.Metadata, decoded.CommitTimestamp);
        if (heldBy >= 0)
            offsets.Hold(heldBy, key.Topic, key.Partition, offset);
        else
            offsets.Commit(key.Topic, key.Partition, offset);
    }

    private void ApplyGroup(string id, byte[]? value)
    {
        if (value is null)
        {
            coordinator.Unload(id);
            return;
        }
        var old = coordinator.Loaded(id);
        coordinator.Unload(id);
        var group = coordinator.Loaded(id);
        foreach (var ((topic, partition), offset) in old.Offsets.Committed)
            group.Offsets.Commit(topic, partition, offset);
        if (GroupRecords.VersionOf(value) == ConsumerGroupValue.RecordVersion)
        {
            group.RestoreConsumers(GroupRecords.Decode<ConsumerGroupValue>(value), now);
            return;
        }
        var decoded = GroupRecords.Decode<GroupValue>(value);
        group.Classic.Restore(
            decoded.Generation, decoded.ProtocolType, decoded.Protocol, decoded.Leader, Math.Min(decoded.StateSince, now),
            decoded.Members.ConvertAll(m => new GroupMember
            {
                Id = m.MemberId,
                InstanceId = m.GroupInstanceId,
                ClientId = m.ClientId,
                ClientHost = m.ClientHost,
                SessionTimeoutMs = m.SessionTimeout,
                RebalanceTimeoutMs = m.RebalanceTimeout,
                Protocols = [new GroupProtocol(decoded.Protocol ?? "", m.Subscription)],
                Assignment = m.Assignment,
            }),
            now);
    }
}
