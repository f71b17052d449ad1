using Millrace.Kafka.Messages;
using Millrace.Log.Groups;

namespace Millrace.Log.Server;

/// <summary>Membership of groups: joining, assignments, heartbeats, leaving; and looking at groups.</summary>
internal sealed class GroupsHandler(BrokerContext context, GroupCoordinator coordinator)
{
    public ValueTask JoinAsync(Exchange exchange, JoinGroupRequest request)
    {
        void Answer(JoinResult result) => exchange.Complete(ToResponse(exchange.Version, result));
        var error = CheckJoin(request);
        var group = request.MemberId.Length > 0 ? coordinator.Find(request.GroupId) : null;
        if (error == ErrorCode.None && group is null && request.MemberId.Length > 0)
            error = ErrorCode.UnknownMemberId;
        if (error != ErrorCode.None)
        {
            Answer(JoinResult.Failed(request.MemberId, error));
            return ValueTask.CompletedTask;
        }
        group ??= coordinator.GetOrAdd(request.GroupId);
        var clientId = exchange.ClientId ?? "";
        var join = new JoinRequest
        {
            MemberId = request.MemberId,
            InstanceId = request.GroupInstanceId,
            ClientId = clientId,
            ClientHost = "/" + exchange.Connection.Remote.Address,
            SessionTimeoutMs = request.SessionTimeoutMs,
            RebalanceTimeoutMs = exchange.Version >= 1 ? request.RebalanceTimeoutMs : request.SessionTimeoutMs,
            ProtocolType = request.ProtocolType,
            // The group keeps the metadata, the request's memory goes back to its pool.
            Protocols = request.Protocols.ConvertAll(p => new GroupProtocol(p.Name, p.Metadata.ToArray())),
            RequiresKnownMemberId = exchange.Version >= 4,
            SupportsSkippingAssignment = exchange.Version >= 9,
            NewMemberId = (request.GroupInstanceId ?? clientId) + "-" + Guid.NewGuid().ToString("D"),
        };
        coordinator.Run(group, machine => machine.Join(join, (Action<JoinResult>)Answer, context.Steady));
        return exchange.FinishedAsync();
    }

    public ValueTask SyncAsync(Exchange exchange, SyncGroupRequest request)
    {
        void Answer(SyncResult result) => exchange.Complete(new SyncGroupResponse
        {
            ErrorCode = result.Error, ProtocolType = result.ProtocolType, ProtocolName = result.ProtocolName, Assignment = result.Assignment,
        });
        if (coordinator.Find(request.GroupId) is not { } group)
        {
            Answer(SyncResult.Failed(request.GroupId.Length == 0 ? ErrorCode.InvalidGroupId : ErrorCode.UnknownMemberId));
            return ValueTask.CompletedTask;
        }
        var assignments = new Dictionary<string, ReadOnlyMemory<byte>>(request.Assignments.Count);
        foreach (var assignment in request.Assignments)
            assignments[assignment.MemberId] = assignment.Assignment.ToArray();
        coordinator.Run(group, machine => machine.Sync(
            request.MemberId, request.GroupInstanceId, request.GenerationId, request.ProtocolType, request.ProtocolName, assignments,
            (Action<SyncResult>)Answer, context.Steady));
        return exchange.FinishedAsync();
    }

    public void Heartbeat(Exchange exchange, HeartbeatRequest request)
    {
        var error = coordinator.Find(request.GroupId) is { } group
            ? coordinator.Run(group, m => m.Heartbeat(request.MemberId, request.GroupInstanceId, request.GenerationId, context.Steady))
            : request.GroupId.Length == 0 ? ErrorCode.InvalidGroupId : ErrorCode.UnknownMemberId;
        exchange.Complete(new HeartbeatResponse { ErrorCode = error });
    }

    public void Leave(Exchange exchange, LeaveGroupRequest request)
    {
        var response = new LeaveGroupResponse();
        var group = coordinator.Find(request.GroupId);
        if (exchange.Version < 3)
            request.Members = [new LeaveGroupRequest.MemberIdentity { MemberId = request.MemberId }];
        foreach (var member in request.Members)
        {
            response.Members.Add(new LeaveGroupResponse.MemberResponse
            {
                MemberId = member.MemberId,
                GroupInstanceId = member.GroupInstanceId,
                ErrorCode = group is null
                    ? ErrorCode.UnknownMemberId
                    : coordinator.Run(group, m => m.Leave(member.MemberId, member.GroupInstanceId, context.Steady)),
            });
        }
        if (request.GroupId.Length == 0)
            response.ErrorCode = ErrorCode.InvalidGroupId;
        else if (exchange.Version < 3)
            response.ErrorCode = response.Members[0].ErrorCode;
        exchange.Complete(response);
    }

    public void Describe(Exchange exchange, DescribeGroupsRequest request)
    {
        var response = new DescribeGroupsResponse();
        foreach (var id in request.Groups)
        {
            var described = new DescribeGroupsResponse.DescribedGroup { GroupId = id, GroupState = nameof(GroupState.Dead) };
            response.Groups.Add(described);
            if (coordinator.Find(id) is not { } group)
                continue;
            lock (group.Gate)
            {
                // The tools ask for a group of the consumer protocol by another request.
                if (group.Consumers is null)
                    Describe(group.Classic, described);
            }
        }
        exchange.Complete(response);
    }

    public void List(Exchange exchange, ListGroupsRequest request)
    {
        var response = new ListGroupsResponse();
        foreach (var group in coordinator.Groups)
        {
            lock (group.Gate)
            {
                var state = group.State;
                if (request.StatesFilter.Count > 0 && !request.StatesFilter.Exists(s => s.Equals(state, StringComparison.OrdinalIgnoreCase)))
                    continue;
                if (request.TypesFilter.Count > 0 && !request.TypesFilter.Exists(t => t.Equals(group.Type, StringComparison.OrdinalIgnoreCase)))
                    continue;
                response.Groups.Add(new ListGroupsResponse.ListedGroup
                {
                    GroupId = group.Id, ProtocolType = group.ProtocolType, GroupState = state, GroupType = group.Type,
                });
            }
        }
        exchange.Complete(response);
    }

    public ValueTask DeleteAsync(Exchange exchange, DeleteGroupsRequest request)
    {
        var response = new DeleteGroupsResponse();
        var left = new Countdown(request.GroupsNames.Count, () => exchange.Complete(response));
        foreach (var id in request.GroupsNames)
        {
            var result = new DeleteGroupsResponse.DeletableGroupResult { GroupId = id };
            response.Results.Add(result);
        }
        foreach (var result in response.Results)
        {
            coordinator.Delete(result.GroupId, error =>
            {
                result.ErrorCode = error;
                left.Signal();
            });
        }
        left.Signal();
        return exchange.FinishedAsync();
    }

    private ErrorCode CheckJoin(JoinGroupRequest request)
    {
        if (request.GroupId.Length == 0)
            return ErrorCode.InvalidGroupId;
        return request.SessionTimeoutMs < context.Options.GroupMinSessionTimeout.TotalMilliseconds
            || request.SessionTimeoutMs > context.Options.GroupMaxSessionTimeout.TotalMilliseconds
                ? ErrorCode.InvalidSessionTimeout
                : ErrorCode.None;
    }

    private static JoinGroupResponse ToResponse(short version, JoinResult result)
    {
        var response = new JoinGroupResponse
        {
            ErrorCode = result.Error,
            GenerationId = result.Generation,
            ProtocolType = result.ProtocolType,
            // Null is allowed from version 7 on.
            ProtocolName = result.ProtocolName ?? (version < 7 ? "" : null),
            Leader = result.Leader,
            SkipAssignment = result.SkipAssignment,
            MemberId = result.MemberId,
        };
        foreach (var (id, instanceId, metadata) in result.Members)
            response.Members.Add(new JoinGroupResponse.JoinGroupResponseMember { MemberId = id, GroupInstanceId = instanceId, Metadata = metadata });
        return response;
    }

    private static void Describe(ClassicGroup group, DescribeGroupsResponse.DescribedGroup described)
    {
        described.GroupState = group.State.ToString();
        described.ProtocolType = group.ProtocolType ?? "";
        var settled = group.State is GroupState.Stable;
        described.ProtocolData = settled ? group.Protocol ?? "" : "";
        foreach (var member in group.Members)
        {
            described.Members.Add(new DescribeGroupsResponse.DescribedGroupMember
            {
                MemberId = member.Id,
                GroupInstanceId = member.InstanceId,
                ClientId = member.ClientId,
                ClientHost = member.ClientHost,
                MemberMetadata = settled ? member.MetadataOf(group.Protocol) : default,
                MemberAssignment = settled ? member.Assignment : default,
            });
        }
    }
}

/// <summary>Runs an action when all parts and the whole have signalled.</summary>
internal sealed class Countdown(int parts, Action done)
{
    private int _left = parts + 1;

    public void Signal()
    {
        if (Interlocked.Decrement(ref _left) == 0)
            done();
    }
}
