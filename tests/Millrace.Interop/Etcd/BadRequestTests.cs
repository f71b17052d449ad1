using System.Net;
using System.Net.Http.Headers;
using Google.Protobuf;
using Millrace.Coordination.Client;
using Millrace.Coordination.Node;
using Millrace.Coordination.Wire;
using Millrace.Tests;

namespace Millrace.Interop.Etcd;

/// <summary>Requests that no good client sends, to a real etcd and to Millrace: both refuse with the same code and words.</summary>
public sealed class BadRequestTests
{
    private const string Kv = "/etcdserverpb.KV/";

    [EngineFact("go")]
    public async Task Bad_requests_are_refused_as_by_etcd()
    {
        await using var etcd = await RealEtcd.StartAsync(RealEtcd.Newest!);
        var folder = Directory.CreateTempSubdirectory("millrace-bad").FullName;
        var differences = new List<string>();
        await using (var node = await CoordinationNode.StartAsync(new CoordinationOptions { DataFolder = folder, ClientPort = 0, PeerPort = -1 }))
        {
            using var theirs = new HttpMessageInvoker(new SocketsHttpHandler());
            foreach (var (name, method, body) in Cases())
            {
                var expected = await AskAsync(theirs, etcd.Endpoint, method, body);
                var given = await AskAsync(theirs, $"127.0.0.1:{node.ClientPort}", method, body);
                if (expected != given)
                    differences.Add($"{name}\n  etcd:     {expected}\n  Millrace: {given}");
            }
        }
        Directory.Delete(folder, recursive: true);
        Assert.True(differences.Count == 0, string.Join('\n', differences));
    }

    /// <summary>Whoever has no token, one that nobody gave, or one of a user who may not.</summary>
    [EngineFact("go")]
    public async Task Callers_who_may_not_are_refused_as_by_etcd()
    {
        await using var etcd = await RealEtcd.StartAsync(RealEtcd.Newest!, "--bcrypt-cost", "4");
        var folder = Directory.CreateTempSubdirectory("millrace-token").FullName;
        string[][] told;
        await using (var node = await CoordinationNode.StartAsync(new CoordinationOptions { DataFolder = folder, ClientPort = 0, PeerPort = -1, BcryptCost = 4 }))
            told = [await RefusalsAsync(etcd.Endpoint), await RefusalsAsync($"127.0.0.1:{node.ClientPort}")];
        Directory.Delete(folder, recursive: true);
        Differences.None(told[0], told[1]);
    }

    private static async Task<string[]> RefusalsAsync(string endpoint)
    {
        using var http = new HttpMessageInvoker(new SocketsHttpHandler());
        var told = new List<string>();
        async Task Do(string method, IMessage request) => told.Add($"{method}: {await AskAsync(http, endpoint, "/etcdserverpb.Auth/" + method, Frame(request))}");
        await Do("UserAdd", new AuthUserAddRequest { Name = "root", Password = "pw" });
        await Do("UserAdd", new AuthUserAddRequest { Name = "ann", Password = "pw" });
        await Do("RoleAdd", new AuthRoleAddRequest { Name = "root" });
        await Do("UserGrantRole", new AuthUserGrantRoleRequest { User = "root", Role = "root" });
        await Do("AuthEnable", new AuthEnableRequest());
        await Do("Authenticate", new AuthenticateRequest { Name = "ann", Password = "wrong" });
        await Do("Authenticate", new AuthenticateRequest { Name = "nobody", Password = "pw" });
        await Do("Authenticate", new AuthenticateRequest());
        using var channel = new GrpcChannel(new Uri("http://" + endpoint));
        var ann = (await channel.UnaryAsync(
            "/etcdserverpb.Auth/Authenticate", new AuthenticateRequest { Name = "ann", Password = "pw" }, AuthenticateResponse.Parser, null, CancellationToken.None)).Token;
        var key = ByteString.CopyFromUtf8("k");
        foreach (var (who, token) in new[] { ("nobody", null), ("a forger", "KdnkXJvGkdJeBsmx.7"), ("garbage", "x"), ("ann", ann) })
        {
            foreach (var (method, request) in new (string, IMessage)[]
            {
                (Kv + "Put", new PutRequest { Key = key }), (Kv + "Range", new RangeRequest { Key = key }), (Kv + "Range", new RangeRequest { Key = key, Serializable = true }),
                (Kv + "DeleteRange", new DeleteRangeRequest { Key = key }), (Kv + "Txn", new TxnRequest { Success = { new RequestOp { RequestPut = new PutRequest { Key = key } } } }),
                (Kv + "Compact", new CompactionRequest { Revision = 99 }), ("/etcdserverpb.Lease/LeaseRevoke", new LeaseRevokeRequest { ID = 7 }),
                ("/etcdserverpb.Lease/LeaseTimeToLive", new LeaseTimeToLiveRequest { ID = 7 }), ("/etcdserverpb.Lease/LeaseLeases", new LeaseLeasesRequest()),
                ("/etcdserverpb.Lease/LeaseKeepAlive", new LeaseKeepAliveRequest { ID = 7 }), ("/etcdserverpb.Cluster/MemberRemove", new MemberRemoveRequest { ID = 7 }),
                ("/etcdserverpb.Auth/UserList", new AuthUserListRequest()), ("/etcdserverpb.Auth/UserAdd", new AuthUserAddRequest { Name = "eve", Password = "x" }),
                ("/etcdserverpb.Auth/AuthDisable", new AuthDisableRequest()), ("/etcdserverpb.Maintenance/HashKV", new HashKVRequest()),
                ("/etcdserverpb.Maintenance/Defragment", new DefragmentRequest()), ("/etcdserverpb.Maintenance/MoveLeader", new MoveLeaderRequest { TargetID = 7 }),
                ("/v3lockpb.Lock/Lock", new LockRequest { Name = key }), ("/v3electionpb.Election/Leader", new LeaderRequest { Name = key }),
                ("/v3electionpb.Election/Campaign", new CampaignRequest { Name = key }),
            })
                told.Add($"{who} to {method}: {await AskAsync(http, endpoint, method, Frame(request), token)}");
        }
        return [.. told];
    }

    private static IEnumerable<(string Name, string Method, byte[] Body)> Cases()
    {
        static ByteString Key(string text) => ByteString.CopyFromUtf8(text);
        static RequestOp Put(string key) => new() { RequestPut = new PutRequest { Key = Key(key) } };
        static TxnRequest Txn(params RequestOp[] ops)
        {
            var txn = new TxnRequest();
            txn.Success.AddRange(ops);
            return txn;
        }

        yield return ("a good one first", Kv + "Put", Frame(new PutRequest { Key = Key("a") }));
        yield return ("no key", Kv + "Put", Frame(new PutRequest()));
        yield return ("no key to read", Kv + "Range", Frame(new RangeRequest()));
        yield return ("no key to delete", Kv + "DeleteRange", Frame(new DeleteRangeRequest()));
        yield return ("an unknown order", Kv + "Range", Frame(new RangeRequest { Key = Key("a"), SortOrder = (RangeRequest.Types.SortOrder)9 }));
        yield return ("an unknown target", Kv + "Range", Frame(new RangeRequest { Key = Key("a"), SortTarget = (RangeRequest.Types.SortTarget)9 }));
        yield return ("a future revision", Kv + "Range", Frame(new RangeRequest { Key = Key("a"), Revision = 99 }));
        yield return ("an unknown lease", Kv + "Put", Frame(new PutRequest { Key = Key("a"), Lease = 77 }));
        yield return ("a value to be ignored", Kv + "Put", Frame(new PutRequest { Key = Key("a"), Value = Key("v"), IgnoreValue = true }));
        yield return ("a lease to be ignored", Kv + "Put", Frame(new PutRequest { Key = Key("a"), Lease = 7, IgnoreLease = true }));
        yield return ("nothing there to keep", Kv + "Put", Frame(new PutRequest { Key = Key("absent"), IgnoreValue = true }));
        yield return ("an empty transaction's step", Kv + "Txn", Frame(Txn(new RequestOp())));
        yield return ("the same key twice", Kv + "Txn", Frame(Txn(Put("x"), Put("x"))));
        yield return ("129 steps", Kv + "Txn", Frame(Txn([.. Enumerable.Range(0, 129).Select(i => Put("k" + i))])));
        yield return ("put and deleted", Kv + "Txn", Frame(Txn(
            Put("x"), new RequestOp { RequestDeleteRange = new DeleteRangeRequest { Key = Key("a"), RangeEnd = Key("z") } })));
        yield return ("a comparison without key", Kv + "Txn", Frame(new TxnRequest { Compare = { new Compare() } }));
        yield return ("a future revision within", Kv + "Txn", Frame(Txn(Put("y"), new RequestOp { RequestRange = new RangeRequest { Key = Key("a"), Revision = 99 } })));
        yield return ("compacting the future", Kv + "Compact", Frame(new CompactionRequest { Revision = 99 }));
        yield return ("compacting", Kv + "Compact", Frame(new CompactionRequest { Revision = 2 }));
        yield return ("compacting again", Kv + "Compact", Frame(new CompactionRequest { Revision = 2 }));
        yield return ("a compacted revision", Kv + "Range", Frame(new RangeRequest { Key = Key("a"), Revision = 1 }));
        yield return ("a negative revision to compact", Kv + "Compact", Frame(new CompactionRequest { Revision = -5 }));
        yield return ("larger than a request may be", Kv + "Put", Frame(new PutRequest { Key = Key("a"), Value = ByteString.CopyFrom(new byte[1_800_000]) }));
        yield return ("larger than a message may be", Kv + "Put", Frame(new PutRequest { Key = Key("a"), Value = ByteString.CopyFrom(new byte[3_000_000]) }));
        yield return ("no protobuf", Kv + "Put", [0, 0, 0, 0, 3, 0xff, 0xff, 0xff]);
        yield return ("a field cut short", Kv + "Put", [0, 0, 0, 0, 2, 0x0a, 0x7f]);
        yield return ("a message cut short", Kv + "Put", [0, 0, 0, 0, 9, 0x0a]);
        yield return ("no message", Kv + "Put", []);
        yield return ("compressed by nobody knows what", Kv + "Put", [1, 0, 0, 0, 1, 0]);
        yield return ("an unknown method", Kv + "Frobnicate", Frame(new PutRequest { Key = Key("a") }));
        yield return ("an unknown service", "/etcdserverpb.Nothing/Put", Frame(new PutRequest { Key = Key("a") }));
        yield return ("no path of a method", "/nothing", Frame(new PutRequest { Key = Key("a") }));
        yield return ("an unknown lease to end", "/etcdserverpb.Lease/LeaseRevoke", Frame(new LeaseRevokeRequest { ID = 77 }));
        yield return ("a lease of ages", "/etcdserverpb.Lease/LeaseGrant", Frame(new LeaseGrantRequest { TTL = 9_000_000_001 }));
        yield return ("a lease", "/etcdserverpb.Lease/LeaseGrant", Frame(new LeaseGrantRequest { ID = 5, TTL = 60 }));
        yield return ("the same lease", "/etcdserverpb.Lease/LeaseGrant", Frame(new LeaseGrantRequest { ID = 5, TTL = 60 }));
        yield return ("nobody to remove", "/etcdserverpb.Cluster/MemberRemove", Frame(new MemberRemoveRequest { ID = 7 }));
        yield return ("nobody to promote", "/etcdserverpb.Cluster/MemberPromote", Frame(new MemberPromoteRequest { ID = 7 }));
        yield return ("a bad address", "/etcdserverpb.Cluster/MemberUpdate", Frame(new MemberUpdateRequest { ID = 7, PeerURLs = { "nonsense" } }));
        yield return ("nobody to lead", "/etcdserverpb.Maintenance/MoveLeader", Frame(new MoveLeaderRequest { TargetID = 7 }));
        yield return ("a future hash", "/etcdserverpb.Maintenance/HashKV", Frame(new HashKVRequest { Revision = 99 }));
        yield return ("login without users", "/etcdserverpb.Auth/Authenticate", Frame(new AuthenticateRequest { Name = "a", Password = "b" }));
        yield return ("users without root", "/etcdserverpb.Auth/AuthEnable", Frame(new AuthEnableRequest()));
        yield return ("an unknown user", "/etcdserverpb.Auth/UserGet", Frame(new AuthUserGetRequest { Name = "a" }));
        yield return ("a nameless user", "/etcdserverpb.Auth/UserAdd", Frame(new AuthUserAddRequest()));
        yield return ("an unknown role", "/etcdserverpb.Auth/RoleGet", Frame(new AuthRoleGetRequest { Role = "a" }));
        yield return ("an unknown lease to look at", "/etcdserverpb.Lease/LeaseTimeToLive", Frame(new LeaseTimeToLiveRequest { ID = 77 }));
        yield return ("an unknown lease to keep", "/etcdserverpb.Lease/LeaseKeepAlive", Frame(new LeaseKeepAliveRequest { ID = 77 }));
        yield return ("no lease to keep", "/etcdserverpb.Lease/LeaseKeepAlive", []);
        yield return ("a lease to keep that is none", "/etcdserverpb.Lease/LeaseKeepAlive", [0, 0, 0, 0, 3, 0xff, 0xff, 0xff]);
        yield return ("a watch that is no protobuf", "/etcdserverpb.Watch/Watch", [0, 0, 0, 0, 3, 0xff, 0xff, 0xff]);
        yield return ("a lock by nobody's lease", "/v3lockpb.Lock/Lock", Frame(new LockRequest { Name = Key("m"), Lease = 77 }));
        yield return ("a candidate with nobody's lease", "/v3electionpb.Election/Campaign", Frame(new CampaignRequest { Name = Key("m"), Lease = 77 }));
        yield return ("a seat that is empty", "/v3electionpb.Election/Leader", Frame(new LeaderRequest { Name = Key("nobody") }));
        yield return ("proclaiming as nobody", "/v3electionpb.Election/Proclaim", Frame(new ProclaimRequest { Value = Key("v") }));
        yield return ("resigning as nobody", "/v3electionpb.Election/Resign", Frame(new ResignRequest()));
        yield return ("unlocking no key", "/v3lockpb.Lock/Unlock", Frame(new UnlockRequest()));
        yield return ("unlocking nothing", "/v3lockpb.Lock/Unlock", Frame(new UnlockRequest { Key = Key("absent") }));
    }

    private static byte[] Frame(IMessage message) => GrpcChannel.Frame(message);

    /// <summary>Code and words; of what the protobuf library says only that it does.</summary>
    private static async Task<string> AskAsync(HttpMessageInvoker http, string endpoint, string method, byte[] body, string? token = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"http://{endpoint}{method}")
        {
            Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact, Content = new ByteArrayContent(body),
        };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/grpc");
        if (token is not null)
            request.Headers.Add("token", token);
        request.Headers.TE.Add(new TransferCodingWithQualityHeaderValue("trailers"));
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        try
        {
            using var response = await http.SendAsync(request, patience.Token);
            await response.Content.ReadAsByteArrayAsync(patience.Token);
            var status = Header(response, "grpc-status");
            var message = Uri.UnescapeDataString(Header(response, "grpc-message"));
            foreach (var start in new[] { "grpc: error unmarshalling request: ", "grpc: failed to unmarshal the received message" })
            {
                if (message.StartsWith(start, StringComparison.Ordinal))
                    message = "(cannot be parsed)";
            }
            return $"HTTP {(int)response.StatusCode} status {status} {message}";
        }
        catch (OperationCanceledException)
        {
            return "no answer";
        }
        catch (HttpRequestException error)
        {
            return "reset " + error.HttpRequestError;
        }
    }

    private static string Header(HttpResponseMessage response, string name) =>
        response.TrailingHeaders.TryGetValues(name, out var trailing) || response.Headers.TryGetValues(name, out trailing) ? trailing.First() : "";
}
