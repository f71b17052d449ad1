using System.Collections.Concurrent;

namespace Millrace.Log.Security;

/// <summary>
/// Decides by the rules, as Kafka's <c>StandardAuthorizer</c> does: super users may do everything, a rule that denies beats one that
/// allows, and what no rule speaks of is denied unless the options say otherwise. Thread-safe.
/// </summary>
internal sealed class Authorizer(SecurityStore store, BrokerSecurity options)
{
    private readonly HashSet<string> _superUsers =
        [.. options.SuperUsers.Append(options.Own?.Name).OfType<string>().Select(u => u.StartsWith("User:", StringComparison.Ordinal) ? u : "User:" + u)];

    private volatile Index? _index;

    public bool Allows(string principal, string host, AclOperation operation, ResourceType type, string name)
    {
        if (!options.Authorize || _superUsers.Contains(principal))
            return true;
        var index = Current();
        var question = (principal, host, operation, type, name);
        if (index.Decided.TryGetValue(question, out var known))
            return known;
        if (index.Decided.Count >= options.MaxRememberedDecisions)
            index.Decided.Clear();
        return index.Decided[question] = Decide(index.Find(type, name), principal, host, operation);
    }

    private bool Decide(List<Acl> rules, string principal, string host, AclOperation operation)
    {
        if (rules.Count == 0)
            return options.AllowWithoutAcl;
        var allowed = false;
        foreach (var rule in rules)
        {
            if (!Concerns(rule, principal, host))
                continue;
            if (rule.Permission == AclPermission.Deny && (rule.Operation == operation || rule.Operation == AclOperation.All))
                return false;
            allowed |= rule.Permission == AclPermission.Allow && Gives(rule.Operation, operation);
        }
        return allowed;
    }

    /// <summary>Whether there is any resource of the type that the principal may use so.</summary>
    public bool AllowsSome(string principal, string host, AclOperation operation, ResourceType type) =>
        !options.Authorize || options.AllowWithoutAcl || _superUsers.Contains(principal)
        || Current().OfType(type).Any(r => r.Permission == AclPermission.Allow && Concerns(r, principal, host) && Gives(r.Operation, operation));

    private static bool Concerns(Acl rule, string principal, string host) =>
        (rule.Principal == principal || rule.Principal == "User:*") && (rule.Host == Acl.Wildcard || rule.Host == host);

    /// <summary>Who may read, write, delete or alter may also describe.</summary>
    private static bool Gives(AclOperation has, AclOperation wants) => has == wants || has == AclOperation.All || wants switch
    {
        AclOperation.Describe => has is AclOperation.Read or AclOperation.Write or AclOperation.Delete or AclOperation.Alter,
        AclOperation.DescribeConfigs => has is AclOperation.AlterConfigs,
        _ => false,
    };

    private Index Current()
    {
        var acls = store.Current.Acls;
        var index = _index;
        if (index is null || !ReferenceEquals(index.Acls, acls))
            _index = index = new Index(acls);
        return index;
    }

    /// <summary>The rules by what they speak of.</summary>
    private sealed class Index
    {
        private readonly Dictionary<(ResourceType, string), List<Acl>> _literal = [];
        private readonly Dictionary<ResourceType, List<Acl>> _prefixed = [];

        public Index(IReadOnlyCollection<Acl> acls)
        {
            Acls = acls;
            foreach (var acl in acls)
            {
                if (acl.Pattern == PatternType.Literal)
                    Add(_literal, (acl.Type, acl.Name), acl);
                else
                    Add(_prefixed, acl.Type, acl);
            }
        }

        public IReadOnlyCollection<Acl> Acls { get; }

        /// <summary>What these rules have decided: gone with them when one changes.</summary>
        public ConcurrentDictionary<(string Principal, string Host, AclOperation Operation, ResourceType Type, string Name), bool> Decided { get; } = new();

        public List<Acl> Find(ResourceType type, string name)
        {
            var found = new List<Acl>();
            if (_literal.TryGetValue((type, name), out var exact))
                found.AddRange(exact);
            if (_literal.TryGetValue((type, Acl.Wildcard), out var any))
                found.AddRange(any);
            if (_prefixed.TryGetValue(type, out var prefixed))
                found.AddRange(prefixed.Where(a => name.StartsWith(a.Name, StringComparison.Ordinal)));
            return found;
        }

        public IEnumerable<Acl> OfType(ResourceType type) => Acls.Where(a => a.Type == type);

        private static void Add<TKey>(Dictionary<TKey, List<Acl>> rules, TKey key, Acl acl)
            where TKey : notnull
        {
            if (!rules.TryGetValue(key, out var list))
                rules[key] = list = [];
            list.Add(acl);
        }
    }
}
