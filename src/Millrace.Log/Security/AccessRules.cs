using Millrace.Kafka.Messages;
using Millrace.Kafka.Wire;
using Millrace.Log.Server;

namespace Millrace.Log.Security;

/// <summary>A whole request is refused with this answer.</summary>
internal sealed class AccessDeniedException(IWireStruct response) : Exception("denied by the access rules")
{
    public IWireStruct Response => response;
}

/// <summary>
/// Takes out of each request what its principal may not do and puts the refusals into its answer, so that handlers see only what is
/// allowed. The operations asked for are those of Kafka's <c>KafkaApis</c>.
/// </summary>
internal sealed class AccessRules(Authorizer authorizer, BrokerContext context)
{
    /// <summary>
    /// Requests that need no more than what is asked for here. One that is not among them and that no rule speaks of is denied, so that a
    /// request that is served in future is not open by oversight.
    /// </summary>
    private static readonly HashSet<Type> Known =
    [
        typeof(ApiVersionsRequest), typeof(SaslHandshakeRequest), typeof(SaslAuthenticateRequest), typeof(DescribeClusterRequest), typeof(ListGroupsRequest),
        typeof(WriteTxnMarkersRequest), typeof(DescribeAclsRequest), typeof(CreateAclsRequest), typeof(DeleteAclsRequest),
        typeof(DescribeUserScramCredentialsRequest), typeof(AlterUserScramCredentialsRequest), typeof(DescribeClientQuotasRequest),
        typeof(AlterClientQuotasRequest), typeof(DescribeLogDirsRequest),
    ];

    private readonly TopicAccess _topics = new(context);
    private readonly GroupAccess _groups = new();

    /// <summary>Whether the connection's principal may learn that a topic is there, whenever it is asked.</summary>
    public Func<string, bool> MayDescribe(Connection connection) =>
        topic => authorizer.Allows(connection.Principal, connection.Host, AclOperation.Describe, ResourceType.Topic, topic);

    /// <exception cref="AccessDeniedException">Nothing of it may be done.</exception>
    public void Apply(Exchange exchange, IWireStruct request)
    {
        var client = new Client(exchange, authorizer);
        if (_topics.Apply(client, request) || _groups.Apply(client, request))
            return;
        switch (request)
        {
            case DescribeAclsRequest when !client.MayCluster(AclOperation.Describe):
                throw new AccessDeniedException(new DescribeAclsResponse { ErrorCode = ErrorCode.ClusterAuthorizationFailed });
            case CreateAclsRequest create when !client.MayCluster(AclOperation.Alter):
                throw new AccessDeniedException(new CreateAclsResponse
                {
                    Results = create.Creations.ConvertAll(_ => new CreateAclsResponse.AclCreationResult { ErrorCode = ErrorCode.ClusterAuthorizationFailed }),
                });
            case DeleteAclsRequest delete when !client.MayCluster(AclOperation.Alter):
                throw new AccessDeniedException(new DeleteAclsResponse
                {
                    FilterResults = delete.Filters.ConvertAll(_ => new DeleteAclsResponse.DeleteAclsFilterResult { ErrorCode = ErrorCode.ClusterAuthorizationFailed }),
                });
            case DescribeUserScramCredentialsRequest when !client.MayCluster(AclOperation.Describe):
                throw new AccessDeniedException(new DescribeUserScramCredentialsResponse { ErrorCode = ErrorCode.ClusterAuthorizationFailed });
            case AlterUserScramCredentialsRequest alter when !client.MayCluster(AclOperation.Alter):
                var users = alter.Deletions.Select(d => d.Name).Concat(alter.Upsertions.Select(u => u.Name)).Distinct(StringComparer.Ordinal);
                throw new AccessDeniedException(new AlterUserScramCredentialsResponse
                {
                    Results = [.. users.Select(u => new AlterUserScramCredentialsResponse.AlterUserScramCredentialsResult { User = u, ErrorCode = ErrorCode.ClusterAuthorizationFailed })],
                });
            case DescribeClientQuotasRequest when !client.MayCluster(AclOperation.DescribeConfigs):
                throw new AccessDeniedException(new DescribeClientQuotasResponse { ErrorCode = ErrorCode.ClusterAuthorizationFailed });
            case AlterClientQuotasRequest alter when !client.MayCluster(AclOperation.AlterConfigs):
                throw new AccessDeniedException(new AlterClientQuotasResponse
                {
                    Entries = alter.Entries.ConvertAll(e => new AlterClientQuotasResponse.EntryData
                    {
                        ErrorCode = ErrorCode.ClusterAuthorizationFailed,
                        Entity = e.Entity.ConvertAll(n => new AlterClientQuotasResponse.EntityData { EntityType = n.EntityType, EntityName = n.EntityName }),
                    }),
                });
            case DescribeLogDirsRequest when !client.MayCluster(AclOperation.Describe):
                throw new AccessDeniedException(new DescribeLogDirsResponse { ErrorCode = ErrorCode.ClusterAuthorizationFailed });
            case var other when !Known.Contains(other.GetType()) && !client.MayCluster(AclOperation.ClusterAction):
                throw new WireFormatException($"no access rule speaks of {other.GetType().Name}");
        }
    }
}

/// <summary>Who asks, and what of it is allowed.</summary>
internal readonly struct Client(Exchange exchange, Authorizer authorizer)
{
    private readonly string _host = exchange.Connection.Host;

    public Exchange Exchange { get; } = exchange;

    public bool May(AclOperation operation, ResourceType type, string name) =>
        authorizer.Allows(Exchange.Connection.Principal, _host, operation, type, name);

    public bool MayTopic(AclOperation operation, string topic) => May(operation, ResourceType.Topic, topic);

    public bool MayGroup(AclOperation operation, string group) => May(operation, ResourceType.Group, group);

    public bool MayTransaction(AclOperation operation, string id) => May(operation, ResourceType.TransactionalId, id);

    public bool MayCluster(AclOperation operation) => May(operation, ResourceType.Cluster, Acl.ClusterName);

    public bool MayWriteSome() =>
        MayCluster(AclOperation.IdempotentWrite)
        || authorizer.AllowsSome(Exchange.Connection.Principal, _host, AclOperation.Write, ResourceType.Topic);

    /// <summary>Takes the refused items out of a list and adds their answers when the request is answered.</summary>
    public void Refuse<TItem, TResponse>(List<TItem> items, Predicate<TItem> allowed, Action<TResponse, List<TItem>> answer)
        where TResponse : class, IWireStruct
    {
        List<TItem>? denied = null;
        items.RemoveAll(item =>
        {
            if (allowed(item))
                return false;
            (denied ??= []).Add(item);
            return true;
        });
        if (denied is not null)
            Exchange.Amend += response => answer((TResponse)response, denied);
    }
}
