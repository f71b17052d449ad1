using System.Globalization;
using Google.Protobuf;
using Millrace.Coordination.Grpc;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Node;
using Millrace.Coordination.Store;
using Millrace.Coordination.Watches;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Etcd;

/// <summary>
/// v3lockpb.Lock and v3electionpb.Election by etcd's recipe: everyone puts a key under the name with its lease; the oldest key owns;
/// the others wait for the next older one to go.
/// </summary>
internal sealed class LockService(Replica replica, Callers callers, LeaseService leases)
{
    private const long DefaultTtlSeconds = 60;

    public void Register(GrpcServer server)
    {
        server.Unary("/v3lockpb.Lock/Lock", LockRequest.Parser, (call, request) => AsEtcdAsync(LockAsync(call, request)));
        server.Unary("/v3lockpb.Lock/Unlock", UnlockRequest.Parser, (call, request) => AsEtcdAsync(UnlockAsync(call, request)));
        server.Unary("/v3electionpb.Election/Campaign", CampaignRequest.Parser, (call, request) => AsEtcdAsync(CampaignAsync(call, request)));
        server.Unary("/v3electionpb.Election/Proclaim", ProclaimRequest.Parser, (call, request) => AsEtcdAsync(ProclaimAsync(call, request)));
        server.Unary("/v3electionpb.Election/Leader", LeaderRequest.Parser, (call, request) => AsEtcdAsync(LeaderAsync(call, request)));
        server.Unary("/v3electionpb.Election/Resign", ResignRequest.Parser, (call, request) => AsEtcdAsync(ResignAsync(call, request)));
        server.Streaming("/v3electionpb.Election/Observe", ObserveAsync);
    }

    /// <summary>etcd's services ask its own store as a client does and hand on the words of a refusal without its code.</summary>
    private static async ValueTask<TResponse> AsEtcdAsync<TResponse>(ValueTask<TResponse> answer)
    {
        try
        {
            return await answer.ConfigureAwait(false);
        }
        catch (StoreException error) when (error.Code != GrpcCodes.Unknown)
        {
            throw new StoreException(GrpcCodes.Unknown, error.Message);
        }
    }

    private async ValueTask<LockResponse> LockAsync(GrpcCall call, LockRequest request)
    {
        var seat = await AcquireAsync(call, request.Name, request.Lease, ByteString.Empty, "mutex: session is expired").ConfigureAwait(false);
        return new LockResponse { Header = Header(), Key = seat.Key };
    }

    private async ValueTask<UnlockResponse> UnlockAsync(GrpcCall call, UnlockRequest request)
    {
        var delete = new DeleteRangeRequest { Key = request.Key };
        RequestChecks.Check(delete);
        await replica.ProposeAsync(CommandKind.DeleteRange, delete, callers.UserOf(call)).ConfigureAwait(false);
        return new UnlockResponse { Header = Header() };
    }

    private async ValueTask<CampaignResponse> CampaignAsync(GrpcCall call, CampaignRequest request)
    {
        var seat = await AcquireAsync(call, request.Name, request.Lease, request.Value, "election: session expired").ConfigureAwait(false);
        return new CampaignResponse
        {
            Header = replica.Header(seat.TakenAt), Leader = new LeaderKey { Name = request.Name, Key = seat.Key, Rev = seat.Revision, Lease = seat.Lease },
        };
    }

    private async ValueTask<ProclaimResponse> ProclaimAsync(GrpcCall call, ProclaimRequest request)
    {
        var leader = request.Leader ?? throw new StoreException(GrpcCodes.Unknown, "\"leader\" field must be provided");
        await IfStillLeaderAsync(call, leader, new RequestOp
        {
            RequestPut = new PutRequest { Key = leader.Key, Value = request.Value, Lease = leader.Lease },
        }, mustBe: true).ConfigureAwait(false);
        return new ProclaimResponse { Header = Header() };
    }

    private async ValueTask<ResignResponse> ResignAsync(GrpcCall call, ResignRequest request)
    {
        var leader = request.Leader ?? throw new StoreException(GrpcCodes.Unknown, "\"leader\" field must be provided");
        await IfStillLeaderAsync(
            call, leader, new RequestOp { RequestDeleteRange = new DeleteRangeRequest { Key = leader.Key } }, mustBe: false).ConfigureAwait(false);
        return new ResignResponse { Header = Header() };
    }

    private async ValueTask<LeaderResponse> LeaderAsync(GrpcCall call, LeaderRequest request)
    {
        await replica.WaitForReadAsync().ConfigureAwait(false);
        var kv = Oldest(callers.UserOf(call), request.Name) ?? throw new StoreException(GrpcCodes.Unknown, "election: no leader");
        return new LeaderResponse { Header = Header(), Kv = kv };
    }

    private async Task ObserveAsync(GrpcCall call)
    {
        var request = await call.ReadAsync(LeaderRequest.Parser).ConfigureAwait(false)
            ?? throw new GrpcException(GrpcCodes.Unknown, "EOF");
        var user = callers.UserOf(call);
        await replica.WaitForReadAsync().ConfigureAwait(false);
        long seen = 0;
        await WatchUntilAsync(call, UnderName(request.Name), async () =>
        {
            var kv = Oldest(user, request.Name);
            if (kv is null || kv.ModRevision == seen)
                return false;
            seen = kv.ModRevision;
            call.Write(new LeaderResponse { Header = Header(), Kv = kv });
            await call.FlushAsync().ConfigureAwait(false);
            return false;
        }).ConfigureAwait(false);
    }

    /// <summary>A place in the row, once it is the first: its key, when that was created, its lease, and the revision at which it was taken or found.</summary>
    private async Task<(ByteString Key, long Revision, long Lease, long TakenAt)> AcquireAsync(
        GrpcCall call, ByteString name, long lease, ByteString value, string whenExpired)
    {
        var user = callers.UserOf(call);
        if (lease == 0)
            lease = (await leases.GrantAsync(call, new LeaseGrantRequest { TTL = DefaultTtlSeconds }).ConfigureAwait(false)).ID;
        var key = ByteString.CopyFrom([.. name.Span, (byte)'/', .. System.Text.Encoding.ASCII.GetBytes(lease.ToString("x", CultureInfo.InvariantCulture))]);
        var txn = new TxnRequest();
        txn.Compare.Add(new Compare { Target = Compare.Types.CompareTarget.Create, Key = key, CreateRevision = 0 });
        txn.Success.Add(new RequestOp { RequestPut = new PutRequest { Key = key, Value = value, Lease = lease } });
        txn.Failure.Add(new RequestOp { RequestRange = new RangeRequest { Key = key } });
        var response = (TxnResponse)await replica.ProposeAsync(CommandKind.Txn, txn, user).ConfigureAwait(false);
        var mine = response.Succeeded ? response.Header.Revision : response.Responses[0].ResponseRange.Kvs[0].CreateRevision;
        if (!response.Succeeded && response.Responses[0].ResponseRange.Kvs[0].Value != value)
            await replica.ProposeAsync(CommandKind.Put, new PutRequest { Key = key, Value = value, Lease = lease }, user).ConfigureAwait(false);
        try
        {
            await WatchUntilAsync(call, UnderName(name), () =>
            {
                var oldest = replica.Read(machine => Older(machine, name));
                // One's own key may have gone with its lease: then the session is over.
                if (replica.Read(machine => machine.Store.Get(key)?.CreateRevision) != mine)
                    throw new StoreException(GrpcCodes.Unknown, whenExpired);
                return Task.FromResult(oldest?.CreateRevision == mine);
            }).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // Who stops waiting must not hold up those behind.
            await replica.ProposeAsync(CommandKind.DeleteRange, new DeleteRangeRequest { Key = key }, user).ConfigureAwait(false);
            throw;
        }
        return (key, mine, lease, response.Header.Revision);
    }

    private async Task IfStillLeaderAsync(GrpcCall call, LeaderKey leader, RequestOp op, bool mustBe)
    {
        var txn = new TxnRequest();
        txn.Compare.Add(new Compare { Target = Compare.Types.CompareTarget.Create, Key = leader.Key, CreateRevision = leader.Rev });
        txn.Success.Add(op);
        RequestChecks.Check(txn, replica.Options.MaxTxnOps);
        var response = (TxnResponse)await replica.ProposeAsync(CommandKind.Txn, txn, callers.UserOf(call)).ConfigureAwait(false);
        if (!response.Succeeded && mustBe)
            throw StoreErrors.ElectionNotLeader;
    }

    /// <summary>Asks now and after every change in the range, until the answer is yes or the caller goes away.</summary>
    private async Task WatchUntilAsync(GrpcCall call, KeyRange range, Func<Task<bool>> isDone)
    {
        var stream = new WatchStream(1024);
        var watcher = new Watcher(0, range, stream, noPut: false, noDelete: false, withPrevious: false, mayFragment: false)
        {
            Next = replica.Read(static machine => machine.Store.Revision) + 1,
        };
        stream.Lag(watcher);
        try
        {
            while (true)
            {
                foreach (var behind in stream.Take().Lagging)
                {
                    while (!replica.Watches.CatchUp(behind, [], out var compacted))
                        behind.Next = Math.Max(behind.Next, compacted);
                }
                if (await isDone().ConfigureAwait(false))
                    return;
                await stream.WaitAsync(call.Canceled).ConfigureAwait(false);
            }
        }
        finally
        {
            watcher.IsCanceled = true;
            replica.Watches.Remove(watcher);
        }
    }

    private KeyValue? Oldest(string user, ByteString name) => replica.Read(machine =>
    {
        machine.Auth.Require(user, UnderName(name), isWrite: false);
        return Older(machine, name);
    });

    private static KeyValue? Older(CoordinationMachine machine, ByteString name)
    {
        KeyValue? oldest = null;
        machine.Store.Walk(UnderName(name), 0, version =>
        {
            if (oldest is null || version.CreateRevision < oldest.CreateRevision)
                oldest = version.ToMessage();
            return true;
        });
        return oldest;
    }

    private static KeyRange UnderName(ByteString name) => new(
        ByteString.CopyFrom([.. name.Span, (byte)'/']), ByteString.CopyFrom([.. name.Span, (byte)('/' + 1)]));

    private ResponseHeader Header() => replica.Header(replica.Read(static machine => machine.Store.Revision));
}
