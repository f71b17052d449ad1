using System.Text;
using Millrace.Kafka.Messages;
using Millrace.Log.Groups;

namespace Millrace.Log.Server;

/// <summary>Committed offsets of groups.</summary>
internal sealed class GroupOffsetsHandler(BrokerContext context, GroupCoordinator coordinator)
{
    public ValueTask CommitAsync(Exchange exchange, OffsetCommitRequest request)
    {
        var response = new OffsetCommitResponse();
        var group = coordinator.Find(request.GroupId);
        if (group is null && request.GenerationIdOrMemberEpoch < 0)
            group = coordinator.GetOrAdd(request.GroupId);
        var refused = group is null
            ? ErrorCode.IllegalGeneration
            : coordinator.Run(group, m => m.CheckCommit(
                request.MemberId, request.GroupInstanceId, request.GenerationIdOrMemberEpoch, context.Steady, transactional: false));
        var offsets = new List<(string, int, CommittedOffset)>();
        var accepted = new List<OffsetCommitResponse.OffsetCommitResponsePartition>();
        foreach (var topic in request.Topics)
        {
            var answers = new List<OffsetCommitResponse.OffsetCommitResponsePartition>(topic.Partitions.Count);
            foreach (var wanted in topic.Partitions)
            {
                var answer = new OffsetCommitResponse.OffsetCommitResponsePartition { PartitionIndex = wanted.PartitionIndex, ErrorCode = refused };
                answers.Add(answer);
                if (refused == ErrorCode.None)
                    answer.ErrorCode = Check(topic.Name, wanted.PartitionIndex, wanted.CommittedMetadata);
                if (answer.ErrorCode != ErrorCode.None)
                    continue;
                accepted.Add(answer);
                offsets.Add((topic.Name, wanted.PartitionIndex, new CommittedOffset(
                    wanted.CommittedOffset, wanted.CommittedLeaderEpoch, wanted.CommittedMetadata ?? "", context.Now)));
            }
            response.Topics.Add(new OffsetCommitResponse.OffsetCommitResponseTopic { Name = topic.Name, Partitions = answers });
        }
        if (offsets.Count == 0)
        {
            exchange.Complete(response);
            return ValueTask.CompletedTask;
        }
        coordinator.Commit(group!, offsets, error =>
        {
            accepted.ForEach(a => a.ErrorCode = error);
            exchange.Complete(response);
        });
        return exchange.FinishedAsync();
    }

    public void Fetch(Exchange exchange, OffsetFetchRequest request)
    {
        var response = new OffsetFetchResponse();
        if (exchange.Version < 8)
        {
            var wanted = request.Topics?.ConvertAll(t => (t.Name, t.PartitionIndexes));
            foreach (var (topic, partitions) in Find(request.GroupId, wanted, request.RequireStable))
            {
                response.Topics.Add(new OffsetFetchResponse.OffsetFetchResponseTopic
                {
                    Name = topic,
                    Partitions = partitions.ConvertAll(p => new OffsetFetchResponse.OffsetFetchResponsePartition
                    {
                        PartitionIndex = p.Partition,
                        CommittedOffset = p.Offset.Offset,
                        CommittedLeaderEpoch = p.Offset.LeaderEpoch,
                        Metadata = p.Offset.Metadata,
                        ErrorCode = p.Error,
                    }),
                });
            }
            exchange.Complete(response);
            return;
        }
        foreach (var group in request.Groups)
        {
            var answer = new OffsetFetchResponse.OffsetFetchResponseGroup { GroupId = group.GroupId };
            response.Groups.Add(answer);
            answer.ErrorCode = CheckMember(group);
            if (answer.ErrorCode != ErrorCode.None)
                continue;
            var wanted = group.Topics?.ConvertAll(t => (t.Name, t.PartitionIndexes));
            foreach (var (topic, partitions) in Find(group.GroupId, wanted, request.RequireStable))
            {
                answer.Topics.Add(new OffsetFetchResponse.OffsetFetchResponseTopics
                {
                    Name = topic,
                    Partitions = partitions.ConvertAll(p => new OffsetFetchResponse.OffsetFetchResponsePartitions
                    {
                        PartitionIndex = p.Partition,
                        CommittedOffset = p.Offset.Offset,
                        CommittedLeaderEpoch = p.Offset.LeaderEpoch,
                        Metadata = p.Offset.Metadata,
                        ErrorCode = p.Error,
                    }),
                });
            }
        }
        exchange.Complete(response);
    }

    public ValueTask DeleteAsync(Exchange exchange, OffsetDeleteRequest request)
    {
        var response = new OffsetDeleteResponse();
        if (coordinator.Find(request.GroupId) is not { } group)
        {
            response.ErrorCode = request.GroupId.Length == 0 ? ErrorCode.InvalidGroupId : ErrorCode.GroupIdNotFound;
            exchange.Complete(response);
            return ValueTask.CompletedTask;
        }
        HashSet<string> subscribed = [];
        lock (group.Gate)
        {
            if (!group.IsEmpty && group.ProtocolType != ConsumerProtocol.Type)
                response.ErrorCode = ErrorCode.NonEmptyGroup;
            subscribed.UnionWith(group.SubscribedTopics());
        }
        if (response.ErrorCode != ErrorCode.None)
        {
            exchange.Complete(response);
            return ValueTask.CompletedTask;
        }
        var offsets = new List<(string, int)>();
        foreach (var topic in request.Topics)
        {
            var answers = topic.Partitions.ConvertAll(p => new OffsetDeleteResponse.OffsetDeleteResponsePartition
            {
                PartitionIndex = p.PartitionIndex,
                ErrorCode = subscribed.Contains(topic.Name) ? ErrorCode.GroupSubscribedToTopic : ErrorCode.None,
            });
            response.Topics.Add(new OffsetDeleteResponse.OffsetDeleteResponseTopic { Name = topic.Name, Partitions = answers });
            if (!subscribed.Contains(topic.Name))
                topic.Partitions.ForEach(p => offsets.Add((topic.Name, p.PartitionIndex)));
        }
        coordinator.Forget(group, offsets, error =>
        {
            response.ErrorCode = error;
            exchange.Complete(response);
        });
        return exchange.FinishedAsync();
    }

    /// <summary>Whether an offset can be committed for a partition.</summary>
    public ErrorCode Check(string topic, int partition, string? metadata)
    {
        if (context.Store.Find(topic)?.Partition(partition) is null)
            return ErrorCode.UnknownTopicOrPartition;
        return metadata is not null && Encoding.UTF8.GetByteCount(metadata) > context.Options.MaxOffsetMetadataBytes
            ? ErrorCode.OffsetMetadataTooLarge
            : ErrorCode.None;
    }

    /// <summary>A member of a consumer group must be what it was when it was given the partitions (OffsetFetch v9).</summary>
    private ErrorCode CheckMember(OffsetFetchRequest.OffsetFetchRequestGroup request)
    {
        if (request.MemberId is null || request.MemberEpoch < 0 || coordinator.Find(request.GroupId) is not { } group)
            return ErrorCode.None;
        lock (group.Gate)
        {
            if (group.Consumers is not { } consumers)
                return ErrorCode.None;
            if (consumers.Member(request.MemberId) is not { } member)
                return ErrorCode.UnknownMemberId;
            return member.Epoch == request.MemberEpoch ? ErrorCode.None : ErrorCode.StaleMemberEpoch;
        }
    }

    private List<(string Topic, List<(int Partition, CommittedOffset Offset, ErrorCode Error)> Partitions)> Find(
        string groupId, List<(string Name, List<int> Partitions)>? wanted, bool requireStable)
    {
        var none = new CommittedOffset(-1, -1, "", -1);
        var result = new List<(string, List<(int, CommittedOffset, ErrorCode)>)>();
        if (coordinator.Find(groupId) is not { } group)
        {
            foreach (var (name, partitions) in wanted ?? [])
                result.Add((name, partitions.ConvertAll(p => (p, none, ErrorCode.None))));
            return result;
        }
        lock (group.Gate)
        {
            wanted ??= [.. group.Offsets.Committed.Keys.GroupBy(k => k.Topic).Select(g => (g.Key, g.Select(k => k.Partition).ToList()))];
            foreach (var (name, partitions) in wanted)
            {
                result.Add((name, partitions.ConvertAll(p =>
                {
                    if (requireStable && group.Offsets.IsUnstable(name, p))
                        return (p, none, ErrorCode.UnstableOffsetCommit);
                    return (p, group.Offsets.Committed.TryGetValue((name, p), out var offset) ? offset : none, ErrorCode.None);
                })));
            }
        }
        return result;
    }
}
