using Millrace.Kafka.Messages;
using Millrace.Kafka.Wire;
using Millrace.Log.Groups;
using Millrace.Log.Security;
using Millrace.Log.Transactions;

namespace Millrace.Log.Server;

/// <summary>Decodes a request by its key and version and hands it to who answers it.</summary>
internal sealed class RequestRouter
{
    private readonly BrokerContext _context;
    private readonly ProduceHandler _produce;
    private readonly FetchHandler _fetch;
    private readonly MetadataHandler _metadata;
    private readonly OffsetsHandler _offsets;
    private readonly TopicsHandler _topics;
    private readonly ConfigsHandler _configs;
    private readonly InspectionHandler _inspection;
    private readonly ProducersHandler _producers;
    private readonly GroupsHandler _groups;
    private readonly GroupOffsetsHandler _groupOffsets;
    private readonly TransactionsHandler _transactions;
    private readonly ConsumerGroupsHandler _consumerGroups;
    private readonly SecurityHandler _security;
    private readonly AccessRules? _access;

    private static readonly ApiKey[] ServedKeys =
    [
        ApiKey.Produce, ApiKey.Fetch, ApiKey.ListOffsets, ApiKey.Metadata, ApiKey.FindCoordinator, ApiKey.ApiVersions, ApiKey.CreateTopics,
        ApiKey.DeleteTopics, ApiKey.DeleteRecords, ApiKey.InitProducerId, ApiKey.OffsetForLeaderEpoch, ApiKey.DescribeConfigs,
        ApiKey.AlterConfigs, ApiKey.DescribeLogDirs, ApiKey.CreatePartitions, ApiKey.IncrementalAlterConfigs, ApiKey.DescribeCluster,
        ApiKey.DescribeProducers, ApiKey.OffsetCommit, ApiKey.OffsetFetch, ApiKey.JoinGroup, ApiKey.Heartbeat, ApiKey.LeaveGroup,
        ApiKey.SyncGroup, ApiKey.DescribeGroups, ApiKey.ListGroups, ApiKey.DeleteGroups, ApiKey.OffsetDelete,
        ApiKey.AddPartitionsToTxn, ApiKey.AddOffsetsToTxn, ApiKey.EndTxn, ApiKey.TxnOffsetCommit, ApiKey.DescribeTransactions,
        ApiKey.ListTransactions, ApiKey.WriteTxnMarkers, ApiKey.ConsumerGroupHeartbeat, ApiKey.ConsumerGroupDescribe,
        ApiKey.SaslHandshake, ApiKey.SaslAuthenticate, ApiKey.DescribeAcls, ApiKey.CreateAcls, ApiKey.DeleteAcls,
        ApiKey.DescribeUserScramCredentials, ApiKey.AlterUserScramCredentials, ApiKey.DescribeClientQuotas, ApiKey.AlterClientQuotas,
    ];

    private readonly HashSet<ApiKey> _served = [.. ServedKeys];

    public RequestRouter(BrokerContext context, GroupCoordinator groups, TransactionCoordinator transactions)
    {
        _context = context;
        _produce = new ProduceHandler(context, transactions);
        _fetch = new FetchHandler(context);
        _metadata = new MetadataHandler(context, Served);
        _offsets = new OffsetsHandler(context);
        _topics = new TopicsHandler(context) { Deleted = groups.TopicDeleted };
        _configs = new ConfigsHandler(context);
        _inspection = new InspectionHandler(context);
        _producers = new ProducersHandler(context, transactions);
        _groups = new GroupsHandler(context, groups);
        _groupOffsets = new GroupOffsetsHandler(context, groups);
        _security = new SecurityHandler(context);
        if (context.Options.Security is { } security)
            _access = new AccessRules(new Authorizer(context.Security, security), context);
        _consumerGroups = new ConsumerGroupsHandler(context, groups, _access);
        _transactions = new TransactionsHandler(context, transactions, groups, _groupOffsets);
    }

    /// <summary>What is advertised: exactly what <see cref="RouteAsync"/> serves.</summary>
    public static IReadOnlyList<ApiVersionRange> Served { get; } = [.. ServedKeys.Select(k => ApiVersionTable.Find(k)!)];

    public bool IsFlexible(ApiKey key, short version) => ApiVersionTable.Find(key)?.IsFlexible(version) ?? false;

    /// <summary>Begins a request; when the task ends, the connection may begin the next.</summary>
    /// <exception cref="WireFormatException">The request is not what the protocol says; its connection ends.</exception>
    public ValueTask RouteAsync(Exchange exchange)
    {
        if (exchange.Key == Connection.BareTokenKey)
            return _security.BareTokenAsync(exchange);
        if (exchange.Connection.NeedsLogin && exchange.Key is not (ApiKey.ApiVersions or ApiKey.SaslHandshake or ApiKey.SaslAuthenticate))
            throw new WireFormatException($"a login comes before {exchange.Key}");
        var range = ApiVersionTable.Find(exchange.Key);
        if (range is null || !_served.Contains(exchange.Key))
            throw new WireFormatException($"request key {(short)exchange.Key} is not served");
        _context.Metrics.Requested(exchange.Key);
        if (!range.Serves(exchange.Version))
        {
            if (exchange.Key != ApiKey.ApiVersions)
                throw new WireFormatException($"{exchange.Key} version {exchange.Version} is not served, {range.ServedFrom} to {range.Max} are");
            _metadata.ApiVersions(exchange, null);
            return ValueTask.CompletedTask;
        }
        if (_context.Quotas.Any)
            Throttle(exchange);
        try
        {
            return RouteServed(exchange);
        }
        catch (AccessDeniedException denied)
        {
            exchange.Complete(denied.Response);
            return ValueTask.CompletedTask;
        }
    }

    private ValueTask RouteServed(Exchange exchange)
    {
        switch (exchange.Key)
        {
            case ApiKey.Produce:
                _produce.Handle(exchange, Read<ProduceRequest>(exchange));
                return ValueTask.CompletedTask;
            case ApiKey.Fetch:
                return _fetch.HandleAsync(exchange, Read<FetchRequest>(exchange));
            case ApiKey.JoinGroup:
                return _groups.JoinAsync(exchange, Read<JoinGroupRequest>(exchange));
            case ApiKey.SyncGroup:
                return _groups.SyncAsync(exchange, Read<SyncGroupRequest>(exchange));
            case ApiKey.DeleteGroups:
                return _groups.DeleteAsync(exchange, Read<DeleteGroupsRequest>(exchange));
            case ApiKey.OffsetCommit:
                return _groupOffsets.CommitAsync(exchange, Read<OffsetCommitRequest>(exchange));
            case ApiKey.InitProducerId:
                return _producers.InitAsync(exchange, Read<InitProducerIdRequest>(exchange));
            case ApiKey.AddPartitionsToTxn:
                return _transactions.AddPartitionsAsync(exchange, Read<AddPartitionsToTxnRequest>(exchange));
            case ApiKey.AddOffsetsToTxn:
                return _transactions.AddOffsetsAsync(exchange, Read<AddOffsetsToTxnRequest>(exchange));
            case ApiKey.EndTxn:
                return _transactions.EndAsync(exchange, Read<EndTxnRequest>(exchange));
            case ApiKey.TxnOffsetCommit:
                return _transactions.CommitOffsetsAsync(exchange, Read<TxnOffsetCommitRequest>(exchange));
            case ApiKey.ConsumerGroupHeartbeat:
                return _consumerGroups.HeartbeatAsync(exchange, Read<ConsumerGroupHeartbeatRequest>(exchange));
            case ApiKey.WriteTxnMarkers:
                return _transactions.WriteMarkersAsync(exchange, Read<WriteTxnMarkersRequest>(exchange));
            case ApiKey.SaslAuthenticate:
                return _security.AuthenticateAsync(exchange, Read<SaslAuthenticateRequest>(exchange));
            case ApiKey.OffsetDelete:
                return _groupOffsets.DeleteAsync(exchange, Read<OffsetDeleteRequest>(exchange));
            default:
                RouteOther(exchange);
                return ValueTask.CompletedTask;
        }
    }

    private void RouteOther(Exchange exchange)
    {
        switch (exchange.Key)
        {
            case ApiKey.ApiVersions:
                _metadata.ApiVersions(exchange, Read<ApiVersionsRequest>(exchange));
                break;
            case ApiKey.Metadata:
                _metadata.Metadata(exchange, Read<MetadataRequest>(exchange));
                break;
            case ApiKey.DescribeCluster:
                _metadata.DescribeCluster(exchange, Read<DescribeClusterRequest>(exchange));
                break;
            case ApiKey.FindCoordinator:
                _metadata.FindCoordinator(exchange, Read<FindCoordinatorRequest>(exchange));
                break;
            case ApiKey.ListOffsets:
                _offsets.ListOffsets(exchange, Read<ListOffsetsRequest>(exchange));
                break;
            case ApiKey.OffsetForLeaderEpoch:
                _offsets.OffsetForLeaderEpoch(exchange, Read<OffsetForLeaderEpochRequest>(exchange));
                break;
            case ApiKey.CreateTopics:
                _topics.Create(exchange, Read<CreateTopicsRequest>(exchange));
                break;
            case ApiKey.CreatePartitions:
                _topics.CreatePartitions(exchange, Read<CreatePartitionsRequest>(exchange));
                break;
            case ApiKey.DeleteTopics:
                _topics.Delete(exchange, Read<DeleteTopicsRequest>(exchange));
                break;
            case ApiKey.DeleteRecords:
                _topics.DeleteRecords(exchange, Read<DeleteRecordsRequest>(exchange));
                break;
            case ApiKey.DescribeConfigs:
                _configs.Describe(exchange, Read<DescribeConfigsRequest>(exchange));
                break;
            case ApiKey.AlterConfigs:
                _configs.Alter(exchange, Read<AlterConfigsRequest>(exchange));
                break;
            case ApiKey.IncrementalAlterConfigs:
                _configs.AlterIncrementally(exchange, Read<IncrementalAlterConfigsRequest>(exchange));
                break;
            case ApiKey.DescribeLogDirs:
                _inspection.DescribeLogDirs(exchange, Read<DescribeLogDirsRequest>(exchange));
                break;
            case ApiKey.DescribeProducers:
                _inspection.DescribeProducers(exchange, Read<DescribeProducersRequest>(exchange));
                break;
            case ApiKey.DescribeTransactions:
                _transactions.Describe(exchange, Read<DescribeTransactionsRequest>(exchange));
                break;
            case ApiKey.ListTransactions:
                _transactions.List(exchange, Read<ListTransactionsRequest>(exchange));
                break;
            case ApiKey.Heartbeat:
                _groups.Heartbeat(exchange, Read<HeartbeatRequest>(exchange));
                break;
            case ApiKey.LeaveGroup:
                _groups.Leave(exchange, Read<LeaveGroupRequest>(exchange));
                break;
            case ApiKey.DescribeGroups:
                _groups.Describe(exchange, Read<DescribeGroupsRequest>(exchange));
                break;
            case ApiKey.ConsumerGroupDescribe:
                _consumerGroups.Describe(exchange, Read<ConsumerGroupDescribeRequest>(exchange));
                break;
            case ApiKey.ListGroups:
                _groups.List(exchange, Read<ListGroupsRequest>(exchange));
                break;
            case ApiKey.OffsetFetch:
                _groupOffsets.Fetch(exchange, Read<OffsetFetchRequest>(exchange));
                break;
            case var _ when RouteSecurity(exchange):
                break;
            default:
                throw new WireFormatException($"request {exchange.Key} is not served");
        }
    }

    private bool RouteSecurity(Exchange exchange)
    {
        switch (exchange.Key)
        {
            case ApiKey.SaslHandshake:
                _security.Handshake(exchange, Read<SaslHandshakeRequest>(exchange));
                return true;
            case ApiKey.DescribeAcls:
                _security.DescribeAcls(exchange, Read<DescribeAclsRequest>(exchange));
                return true;
            case ApiKey.CreateAcls:
                _security.CreateAcls(exchange, Read<CreateAclsRequest>(exchange));
                return true;
            case ApiKey.DeleteAcls:
                _security.DeleteAcls(exchange, Read<DeleteAclsRequest>(exchange));
                return true;
            case ApiKey.DescribeUserScramCredentials:
                _security.DescribeUsers(exchange, Read<DescribeUserScramCredentialsRequest>(exchange));
                return true;
            case ApiKey.AlterUserScramCredentials:
                _security.AlterUsers(exchange, Read<AlterUserScramCredentialsRequest>(exchange));
                return true;
            case ApiKey.DescribeClientQuotas:
                _security.DescribeQuotas(exchange, Read<DescribeClientQuotasRequest>(exchange));
                return true;
            case ApiKey.AlterClientQuotas:
                _security.AlterQuotas(exchange, Read<AlterClientQuotasRequest>(exchange));
                return true;
            default:
                return false;
        }
    }

    /// <summary>Counts a request against its client's quotas. Who is over is answered first and then left unread for a while (KIP-219).</summary>
    private void Throttle(Exchange exchange)
    {
        var connection = exchange.Connection;
        if (connection.IsOwn)
            return;
        var wait = _context.Quotas.Charge(connection.Principal, exchange.ClientId, QuotaKind.Requests, 1, _context.Steady);
        if (exchange.Key == ApiKey.Produce)
            wait = Math.Max(wait, _context.Quotas.Charge(connection.Principal, exchange.ClientId, QuotaKind.ProducerBytes, exchange.Frame.Length, _context.Steady));
        connection.LeaveUnread(wait);
        if (wait == 0 && exchange.Key != ApiKey.Fetch)
            return;
        exchange.Amend += response =>
        {
            if (response is FetchResponse fetch)
            {
                var bytes = fetch.Responses.Sum(t => t.Partitions.Sum(p => (long)p.Records.Length));
                wait = Math.Max(wait, _context.Quotas.Charge(connection.Principal, exchange.ClientId, QuotaKind.ConsumerBytes, bytes, _context.Steady));
                connection.LeaveUnread(wait);
            }
            if (response is IThrottledResponse throttled)
                throttled.ThrottleTimeMs = wait;
        };
    }

    private T Read<T>(Exchange exchange) where T : class, IWireStruct, new()
    {
        var request = WireReader.Read<T>(exchange.Body, exchange.Version, ApiVersionTable.Find(exchange.Key)!.IsFlexible(exchange.Version));
        _access?.Apply(exchange, request);
        return request;
    }
}
