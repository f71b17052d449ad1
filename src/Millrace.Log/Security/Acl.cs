namespace Millrace.Log.Security;

/// <summary>Kafka's numbers (org.apache.kafka.common.resource.ResourceType).</summary>
internal enum ResourceType : sbyte
{
    Any = 1,
    Topic = 2,
    Group = 3,
    Cluster = 4,
    TransactionalId = 5,
}

/// <summary>Kafka's numbers (org.apache.kafka.common.resource.PatternType).</summary>
internal enum PatternType : sbyte
{
    Any = 1,
    Match = 2,
    Literal = 3,
    Prefixed = 4,
}

/// <summary>Kafka's numbers (org.apache.kafka.common.acl.AclOperation).</summary>
internal enum AclOperation : sbyte
{
    Any = 1,
    All = 2,
    Read = 3,
    Write = 4,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    ClusterAction = 9,
    DescribeConfigs = 10,
    AlterConfigs = 11,
    IdempotentWrite = 12,
}

internal enum AclPermission : sbyte
{
    Any = 1,
    Deny = 2,
    Allow = 3,
}

/// <summary>A rule: what a principal from a host may or may not do with a resource.</summary>
internal sealed record Acl(
    ResourceType Type, string Name, PatternType Pattern, string Principal, string Host, AclOperation Operation, AclPermission Permission)
{
    public const string ClusterName = "kafka-cluster";
    public const string Wildcard = "*";

    /// <summary>What is wrong with a rule that is to be kept, or null.</summary>
    public string? Check()
    {
        if (Type is not (ResourceType.Topic or ResourceType.Group or ResourceType.Cluster or ResourceType.TransactionalId))
            return $"rules for resources of type {(sbyte)Type} are not kept here; topics, groups, the cluster and transactional ids are";
        if (Pattern is not (PatternType.Literal or PatternType.Prefixed))
            return "the pattern type must be literal or prefixed";
        if (Name.Length == 0 || (Type == ResourceType.Cluster && Name != ClusterName))
            return $"the resource name '{Name}' is not valid";
        if (!Principal.StartsWith("User:", StringComparison.Ordinal) || Principal.Length == 5)
            return $"the principal '{Principal}' is not valid: write User:NAME or User:*";
        if (Host.Length == 0)
            return "the host is empty: write an address or *";
        if (!Enum.IsDefined(Operation) || Operation == AclOperation.Any || Permission is not (AclPermission.Allow or AclPermission.Deny))
            return "the operation or permission is not valid";
        return null;
    }
}

/// <summary>Which rules a DescribeAcls or DeleteAcls means; null names are any.</summary>
internal sealed record AclFilter(
    ResourceType Type, string? Name, PatternType Pattern, string? Principal, string? Host, AclOperation Operation, AclPermission Permission)
{
    public bool Matches(Acl acl) =>
        (Type == ResourceType.Any || Type == acl.Type)
        && MatchesName(acl)
        && (Principal is null || Principal == acl.Principal)
        && (Host is null || Host == acl.Host)
        && (Operation == AclOperation.Any || Operation == acl.Operation)
        && (Permission == AclPermission.Any || Permission == acl.Permission);

    private bool MatchesName(Acl acl) => Pattern switch
    {
        PatternType.Literal or PatternType.Prefixed => acl.Pattern == Pattern && (Name is null || Name == acl.Name),
        // All rules that would be looked at for the resource of that name.
        PatternType.Match => Name is null || (acl.Pattern == PatternType.Literal
            ? acl.Name == Name || acl.Name == Acl.Wildcard
            : Name.StartsWith(acl.Name, StringComparison.Ordinal)),
        _ => Name is null || Name == acl.Name,
    };
}
