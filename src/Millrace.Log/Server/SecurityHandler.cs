using Millrace.Kafka.Messages;
using Millrace.Log.Security;

namespace Millrace.Log.Server;

/// <summary>Logins, users, rules and quotas, as clients and Kafka's tools ask for them.</summary>
internal sealed class SecurityHandler(BrokerContext context)
{
    private static readonly (QuotaKind Kind, string Key)[] QuotaKeys =
        [(QuotaKind.ProducerBytes, "producer_byte_rate"), (QuotaKind.ConsumerBytes, "consumer_byte_rate"), (QuotaKind.Requests, "request_rate")];

    private SecurityStore Store => context.Security;

    private BrokerSecurity? Options => context.Options.Security;

    public void Handshake(Exchange exchange, SaslHandshakeRequest request)
    {
        var response = new SaslHandshakeResponse { Mechanisms = [.. Options?.Mechanisms ?? []] };
        if (response.Mechanisms.Count == 0 || exchange.Connection.IsLoggedIn)
        {
            response.ErrorCode = ErrorCode.IllegalSaslState;
        }
        else if (!response.Mechanisms.Contains(request.Mechanism))
        {
            response.ErrorCode = ErrorCode.UnsupportedSaslMechanism;
        }
        else
        {
            exchange.Connection.Login = new SaslLogin(Store, request.Mechanism);
            // Version 0 is followed by bare tokens instead of requests (KIP-152).
            exchange.Connection.ExpectsBareTokens = exchange.Version == 0;
        }
        exchange.Complete(response);
    }

    public async ValueTask AuthenticateAsync(Exchange exchange, SaslAuthenticateRequest request)
    {
        if (exchange.Connection.Login is not { User: null } login)
        {
            exchange.Complete(new SaslAuthenticateResponse { ErrorCode = ErrorCode.IllegalSaslState, ErrorMessage = "a handshake comes before the login" });
            return;
        }
        try
        {
            var token = login.Step(request.AuthBytes.Span);
            if (login.User is { } user)
                exchange.Connection.LoggedIn(user);
            exchange.Complete(new SaslAuthenticateResponse { AuthBytes = token });
        }
        catch (LoginException error)
        {
            await FailAsync(exchange, error).ConfigureAwait(false);
            exchange.Complete(new SaslAuthenticateResponse
            {
                ErrorCode = ErrorCode.SaslAuthenticationFailed, ErrorMessage = $"Authentication failed: {error.Message}",
            });
        }
    }

    /// <summary>A token without a request around it, after a handshake of version 0.</summary>
    public async ValueTask BareTokenAsync(Exchange exchange)
    {
        try
        {
            var login = exchange.Connection.Login!;
            var token = login.Step(exchange.Frame.Memory.Span);
            if (login.User is { } user)
                exchange.Connection.LoggedIn(user);
            exchange.Complete(new BareToken(token));
        }
        catch (LoginException error)
        {
            await FailAsync(exchange, error).ConfigureAwait(false);
            // There is no error message in this form: the closed connection says it.
            exchange.Complete(null);
        }
    }

    public void DescribeAcls(Exchange exchange, DescribeAclsRequest request)
    {
        var response = new DescribeAclsResponse();
        if (Options is null)
        {
            (response.ErrorCode, response.ErrorMessage) = (ErrorCode.SecurityDisabled, Disabled);
            exchange.Complete(response);
            return;
        }
        var filter = new AclFilter(
            (ResourceType)request.ResourceTypeFilter, request.ResourceNameFilter, (PatternType)request.PatternTypeFilter, request.PrincipalFilter,
            request.HostFilter, (AclOperation)request.Operation, (AclPermission)request.PermissionType);
        foreach (var resource in Store.Current.Acls.Where(filter.Matches).GroupBy(a => (a.Type, a.Name, a.Pattern)).OrderBy(g => g.Key))
        {
            response.Resources.Add(new DescribeAclsResponse.DescribeAclsResource
            {
                ResourceType = (sbyte)resource.Key.Type, ResourceName = resource.Key.Name, PatternType = (sbyte)resource.Key.Pattern,
                Acls = [.. resource.Select(a => new DescribeAclsResponse.AclDescription
                {
                    Principal = a.Principal, Host = a.Host, Operation = (sbyte)a.Operation, PermissionType = (sbyte)a.Permission,
                })],
            });
        }
        exchange.Complete(response);
    }

    public void CreateAcls(Exchange exchange, CreateAclsRequest request)
    {
        var response = new CreateAclsResponse();
        foreach (var wanted in request.Creations)
        {
            var result = new CreateAclsResponse.AclCreationResult();
            response.Results.Add(result);
            var acl = new Acl(
                (ResourceType)wanted.ResourceType, wanted.ResourceName, (PatternType)wanted.ResourcePatternType, wanted.Principal, wanted.Host,
                (AclOperation)wanted.Operation, (AclPermission)wanted.PermissionType);
            if (Options is null)
                (result.ErrorCode, result.ErrorMessage) = (ErrorCode.SecurityDisabled, Disabled);
            else if (acl.Check() is { } wrong)
                (result.ErrorCode, result.ErrorMessage) = (ErrorCode.InvalidRequest, wrong);
            else
                (result.ErrorCode, result.ErrorMessage) = Change(state => state.Acls.Contains(acl) ? state : state with { Acls = new HashSet<Acl>(state.Acls) { acl } });
        }
        exchange.Complete(response);
    }

    public void DeleteAcls(Exchange exchange, DeleteAclsRequest request)
    {
        var response = new DeleteAclsResponse();
        foreach (var wanted in request.Filters)
        {
            var result = new DeleteAclsResponse.DeleteAclsFilterResult();
            response.FilterResults.Add(result);
            if (Options is null)
            {
                (result.ErrorCode, result.ErrorMessage) = (ErrorCode.SecurityDisabled, Disabled);
                continue;
            }
            var filter = new AclFilter(
                (ResourceType)wanted.ResourceTypeFilter, wanted.ResourceNameFilter, (PatternType)wanted.PatternTypeFilter, wanted.PrincipalFilter,
                wanted.HostFilter, (AclOperation)wanted.Operation, (AclPermission)wanted.PermissionType);
            List<Acl> gone = [];
            (result.ErrorCode, result.ErrorMessage) = Change(state =>
            {
                gone = [.. state.Acls.Where(filter.Matches)];
                return gone.Count == 0 ? state : state with { Acls = new HashSet<Acl>(state.Acls.Except(gone)) };
            });
            if (result.ErrorCode == ErrorCode.None)
            {
                result.MatchingAcls = gone.ConvertAll(a => new DeleteAclsResponse.DeleteAclsMatchingAcl
                {
                    ResourceType = (sbyte)a.Type, ResourceName = a.Name, PatternType = (sbyte)a.Pattern, Principal = a.Principal, Host = a.Host,
                    Operation = (sbyte)a.Operation, PermissionType = (sbyte)a.Permission,
                });
            }
        }
        exchange.Complete(response);
    }

    public void DescribeUsers(Exchange exchange, DescribeUserScramCredentialsRequest request)
    {
        var response = new DescribeUserScramCredentialsResponse();
        var users = Store.Current.Users;
        var wanted = request.Users is { Count: > 0 } named ? named.ConvertAll(u => u.Name) : [.. users.Keys.Order(StringComparer.Ordinal)];
        foreach (var name in wanted)
        {
            var result = new DescribeUserScramCredentialsResponse.DescribeUserScramCredentialsResult { User = name };
            response.Results.Add(result);
            if (!users.TryGetValue(name, out var credentials))
            {
                (result.ErrorCode, result.ErrorMessage) = (ErrorCode.ResourceNotFound, $"Attempt to describe a user credential that does not exist: {name}");
                continue;
            }
            foreach (var (mechanism, credential) in credentials)
            {
                result.CredentialInfos.Add(new DescribeUserScramCredentialsResponse.CredentialInfo
                {
                    Mechanism = ScramHash.Find(mechanism)!.Number, Iterations = credential.Iterations,
                });
            }
        }
        exchange.Complete(response);
    }

    public void AlterUsers(Exchange exchange, AlterUserScramCredentialsRequest request)
    {
        var response = new AlterUserScramCredentialsResponse();
        var names = request.Deletions.Select(d => d.Name).Concat(request.Upsertions.Select(u => u.Name));
        foreach (var name in names.Distinct(StringComparer.Ordinal))
        {
            var (error, message) = AlterUser(
                name, request.Deletions.FindAll(d => d.Name == name), request.Upsertions.FindAll(u => u.Name == name));
            response.Results.Add(new AlterUserScramCredentialsResponse.AlterUserScramCredentialsResult { User = name, ErrorCode = error, ErrorMessage = message });
        }
        exchange.Complete(response);
    }

    private (ErrorCode Error, string? Message) AlterUser(
        string name, List<AlterUserScramCredentialsRequest.ScramCredentialDeletion> deletions,
        List<AlterUserScramCredentialsRequest.ScramCredentialUpsertion> upsertions)
    {
        if (SecurityStore.CheckName(name) is { } wrong)
            return (ErrorCode.UnacceptableCredential, wrong);
        var numbers = deletions.Select(d => d.Mechanism).Concat(upsertions.Select(u => u.Mechanism)).ToArray();
        if (numbers.Any(n => ScramHash.Find(n) is null))
            return (ErrorCode.UnsupportedSaslMechanism, "Unknown SCRAM mechanism");
        if (numbers.Distinct().Count() != numbers.Length)
            return (ErrorCode.DuplicateResource, "A user credential cannot be altered twice in the same request");
        if (upsertions.Exists(u => u.Iterations is < ScramHash.MinIterations or > ScramHash.MaxIterations))
            return (ErrorCode.UnacceptableCredential, $"Iterations must be {ScramHash.MinIterations} to {ScramHash.MaxIterations}");
        if (upsertions.Exists(u => u.Salt.Length is 0 or > 1024 || u.SaltedPassword.Length != ScramHash.Find(u.Mechanism)!.Bytes))
            return (ErrorCode.UnacceptableCredential, "The salt or the salted password has not the right length");
        var missing = false;
        var outcome = Change(state =>
        {
            var credentials = state.Users.TryGetValue(name, out var old) ? old.ToDictionary() : [];
            foreach (var deletion in deletions)
                missing |= !credentials.Remove(ScramHash.Find(deletion.Mechanism)!.Mechanism);
            if (missing)
                return state;
            foreach (var upsertion in upsertions)
            {
                var hash = ScramHash.Find(upsertion.Mechanism)!;
                credentials[hash.Mechanism] = hash.Credential(upsertion.Salt.ToArray(), upsertion.Iterations, upsertion.SaltedPassword.ToArray());
            }
            var users = new Dictionary<string, IReadOnlyDictionary<string, ScramCredential>>(state.Users);
            if (credentials.Count > 0)
                users[name] = credentials;
            else
                users.Remove(name);
            return state with { Users = users };
        });
        return missing ? (ErrorCode.ResourceNotFound, "Attempt to delete a user credential that does not exist") : outcome;
    }

    public void DescribeQuotas(Exchange exchange, DescribeClientQuotasRequest request)
    {
        var response = new DescribeClientQuotasResponse { Entries = [] };
        foreach (var entity in Store.Current.Quotas.GroupBy(q => (q.User, q.ClientId)))
        {
            if (!Matches(request, entity.Key.User, entity.Key.ClientId))
                continue;
            response.Entries.Add(new DescribeClientQuotasResponse.EntryData
            {
                Entity = [.. Entities(entity.Key.User, entity.Key.ClientId).Select(e => new DescribeClientQuotasResponse.EntityData { EntityType = e.Type, EntityName = e.Name })],
                Values = [.. entity.Select(q => new DescribeClientQuotasResponse.ValueData { Key = QuotaKeys.First(k => k.Kind == q.Kind).Key, Value = q.PerSecond })],
            });
        }
        exchange.Complete(response);
    }

    public void AlterQuotas(Exchange exchange, AlterClientQuotasRequest request)
    {
        var response = new AlterClientQuotasResponse();
        foreach (var entry in request.Entries)
        {
            var (error, message) = AlterQuota(entry, request.ValidateOnly);
            response.Entries.Add(new AlterClientQuotasResponse.EntryData
            {
                ErrorCode = error, ErrorMessage = message,
                Entity = entry.Entity.ConvertAll(e => new AlterClientQuotasResponse.EntityData { EntityType = e.EntityType, EntityName = e.EntityName }),
            });
        }
        exchange.Complete(response);
    }

    private (ErrorCode Error, string? Message) AlterQuota(AlterClientQuotasRequest.EntryData entry, bool validateOnly)
    {
        string? user = null, client = null;
        foreach (var entity in entry.Entity)
        {
            switch (entity.EntityType)
            {
                case "user":
                    user = entity.EntityName ?? ClientQuota.Default;
                    break;
                case "client-id":
                    client = entity.EntityName ?? ClientQuota.Default;
                    break;
                default:
                    return (ErrorCode.InvalidRequest, $"quotas of '{entity.EntityType}' are not kept here; those of users and client ids are");
            }
        }
        if (user is null && client is null)
            return (ErrorCode.InvalidRequest, "a quota names a user or a client id");
        foreach (var op in entry.Ops)
        {
            if (QuotaKeys.All(k => k.Key != op.Key))
                return (ErrorCode.InvalidConfig, $"there is no quota '{op.Key}' here; {string.Join(", ", QuotaKeys.Select(k => k.Key))} are kept");
            if (!op.Remove && !(op.Value > 0 && double.IsFinite(op.Value)))
                return (ErrorCode.InvalidConfig, $"{op.Key} must be above 0");
        }
        if (validateOnly)
            return (ErrorCode.None, null);
        return Change(state =>
        {
            var quotas = state.Quotas.ToList();
            foreach (var op in entry.Ops)
            {
                var kind = QuotaKeys.First(k => k.Key == op.Key).Kind;
                quotas.RemoveAll(q => q.User == user && q.ClientId == client && q.Kind == kind);
                if (!op.Remove)
                    quotas.Add(new ClientQuota(user, client, kind, op.Value));
            }
            return state with { Quotas = quotas };
        });
    }

    // Match types: 0 exact, 1 the default entity, 2 any that is named so or so.
    private static bool Matches(DescribeClientQuotasRequest request, string? user, string? client)
    {
        var spoken = 0;
        foreach (var component in request.Components)
        {
            var value = component.EntityType == "user" ? user : component.EntityType == "client-id" ? client : null;
            if (value is null || (component.MatchType == 0 && value != component.Match) || (component.MatchType == 1 && value != ClientQuota.Default))
                return false;
            spoken++;
        }
        return !request.Strict || spoken == (user is null ? 0 : 1) + (client is null ? 0 : 1);
    }

    private static IEnumerable<(string Type, string? Name)> Entities(string? user, string? client)
    {
        if (user is not null)
            yield return ("user", user == ClientQuota.Default ? null : user);
        if (client is not null)
            yield return ("client-id", client == ClientQuota.Default ? null : client);
    }

    private const string Disabled = "No Authorizer is configured on the broker: turn security on in millrace.yaml (kafka: security:)";

    private (ErrorCode Error, string? Message) Change(Func<SecurityState, SecurityState> change)
    {
        try
        {
            Store.Change(state => (change(state), true));
            return (ErrorCode.None, null);
        }
        catch (ArgumentException full)
        {
            return (ErrorCode.PolicyViolation, full.Message);
        }
        catch (IOException error)
        {
            context.Metrics.LogTrouble($"{SecurityStore.FileName} could not be written", error);
            return (ErrorCode.StorageError, error.Message);
        }
    }

    private async ValueTask FailAsync(Exchange exchange, LoginException error)
    {
        exchange.CloseAfterSend = $"a login failed: {error.Message}";
        await Task.Delay(Options!.FailedLoginDelay, context.Time, exchange.Connection.Closed).ConfigureAwait(false);
    }
}

/// <summary>A server's token without an answer around it.</summary>
internal sealed class BareToken(byte[] token) : Kafka.Wire.IWireStruct
{
    public byte[] Token => token;

    public void Serialize<TCodec>(ref TCodec codec)
        where TCodec : Kafka.Wire.IWireCodec, allows ref struct => throw new InvalidOperationException("a bare token is written as it is");
}
