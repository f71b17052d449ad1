using Millrace.Kafka.Messages;
using Millrace.Log.Groups;
using Millrace.Log.Groups.Consumers;
using Millrace.Log.Security;

namespace Millrace.Log.Server;

/// <summary>Groups of Kafka 4's consumer protocol (KIP-848): one request to join, stay and leave; and looking at them.</summary>
internal sealed class ConsumerGroupsHandler(BrokerContext context, GroupCoordinator coordinator, AccessRules? access)
{
    public ValueTask HeartbeatAsync(Exchange exchange, ConsumerGroupHeartbeatRequest request)
    {
        void Answer(HeartbeatResult result) => exchange.Complete(ToResponse(result));
        var group = request.GroupId.Length == 0 ? null : request.MemberEpoch == 0 ? coordinator.GetOrAdd(request.GroupId) : coordinator.Find(request.GroupId);
        // From version 1 on clients choose their id themselves.
        var memberId = request.MemberId.Length > 0 ? request.MemberId : exchange.Version == 0 && request.MemberEpoch == 0 ? Guid.NewGuid().ToString("D") : "";
        if (group is null || memberId.Length == 0)
        {
            Answer(HeartbeatResult.Failed(
                request.GroupId.Length == 0 || memberId.Length == 0 ? ErrorCode.InvalidRequest : ErrorCode.UnknownMemberId, request.MemberId));
            return ValueTask.CompletedTask;
        }
        var beat = new ConsumerHeartbeat
        {
            MemberId = memberId,
            Epoch = request.MemberEpoch,
            InstanceId = request.InstanceId,
            RackId = request.RackId,
            RebalanceTimeoutMs = request.RebalanceTimeoutMs,
            Topics = request.SubscribedTopicNames,
            Regex = request.SubscribedTopicRegex,
            MayDescribe = access?.MayDescribe(exchange.Connection),
            Assignor = request.ServerAssignor,
            Owned = request.TopicPartitions is null ? null : Named(request.TopicPartitions),
            ClientId = exchange.ClientId ?? "",
            ClientHost = "/" + exchange.Connection.Remote.Address,
        };
        coordinator.Run(group, entry => entry.ConsumerHeartbeat(beat, (Action<HeartbeatResult>)Answer, context.Steady));
        return exchange.FinishedAsync();
    }

    public void Describe(Exchange exchange, ConsumerGroupDescribeRequest request)
    {
        var response = new ConsumerGroupDescribeResponse();
        foreach (var id in request.GroupIds)
        {
            var described = new ConsumerGroupDescribeResponse.DescribedGroup
            {
                GroupId = id, ErrorCode = ErrorCode.GroupIdNotFound, ErrorMessage = $"Group {id} is not a consumer group.", GroupState = "Dead",
            };
            response.Groups.Add(described);
            if (coordinator.Find(id) is not { } group)
                continue;
            lock (group.Gate)
            {
                if (group.Consumers is { } consumers)
                    Describe(consumers, described);
            }
        }
        exchange.Complete(response);
    }

    private void Describe(ConsumerGroup group, ConsumerGroupDescribeResponse.DescribedGroup described)
    {
        described.ErrorCode = ErrorCode.None;
        described.ErrorMessage = null;
        described.GroupState = group.State;
        described.GroupEpoch = group.Epoch;
        described.AssignmentEpoch = group.AssignmentEpoch;
        described.AssignorName = group.AssignorName;
        foreach (var member in group.Members)
        {
            described.Members.Add(new ConsumerGroupDescribeResponse.Member
            {
                MemberId = member.Id,
                InstanceId = member.InstanceId,
                RackId = member.RackId,
                MemberEpoch = member.Epoch,
                ClientId = member.ClientId,
                ClientHost = member.ClientHost,
                SubscribedTopicNames = member.Topics,
                SubscribedTopicRegex = member.Regex,
                Assignment = new() { TopicPartitions = Described(member.Assigned) },
                TargetAssignment = new() { TopicPartitions = Described(member.Target) },
                MemberType = member.Classic is null ? (sbyte)1 : (sbyte)0,
            });
        }
    }

    private ConsumerGroupHeartbeatResponse ToResponse(HeartbeatResult result) => new()
    {
        ErrorCode = result.Error,
        ErrorMessage = result.Message,
        MemberId = result.MemberId,
        MemberEpoch = result.Epoch,
        HeartbeatIntervalMs = (int)context.Options.ConsumerHeartbeatInterval.TotalMilliseconds,
        Assignment = result.Assigned is null ? null : new()
        {
            TopicPartitions = [.. ByTopic(result.Assigned).Select(t => new ConsumerGroupHeartbeatResponse.OwnedTopic { TopicId = t.Id, Partitions = t.Partitions })],
        },
    };

    private List<ConsumerGroupDescribeResponse.OwnedTopic> Described(IReadOnlyCollection<(string, int)> places) =>
        [.. ByTopic(places).Select(t => new ConsumerGroupDescribeResponse.OwnedTopic { TopicId = t.Id, TopicName = t.Name, Partitions = t.Partitions })];

    /// <summary>A topic that has been deleted has no id any more and is left out; its members lose it at their next step.</summary>
    private IEnumerable<(Guid Id, string Name, List<int> Partitions)> ByTopic(IReadOnlyCollection<(string Topic, int Partition)> places)
    {
        foreach (var topic in places.GroupBy(p => p.Topic))
        {
            if (context.Store.Find(topic.Key) is { } found)
                yield return (found.Id, topic.Key, [.. topic.Select(p => p.Partition).Order()]);
        }
    }

    private List<(string, int)> Named(List<ConsumerGroupHeartbeatRequest.OwnedTopic> owned)
    {
        var places = new List<(string, int)>();
        foreach (var topic in owned)
        {
            if (context.Store.Find(topic.TopicId) is not { } found)
                continue;
            foreach (var partition in topic.Partitions)
                places.Add((found.Name, partition));
        }
        return places;
    }
}
