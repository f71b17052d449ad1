using System.Buffers.Binary;
using System.Security.Cryptography;
using Millrace.Coordination.Grpc;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Node;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Etcd;

/// <summary>etcdserverpb.Lease.</summary>
internal sealed class LeaseService(Replica replica, Callers callers)
{
    private const long MaxTtlSeconds = 9_000_000_000;

    public void Register(GrpcServer server)
    {
        server.Unary("/etcdserverpb.Lease/LeaseGrant", LeaseGrantRequest.Parser, GrantAsync);
        server.Unary("/etcdserverpb.Lease/LeaseRevoke", LeaseRevokeRequest.Parser, RevokeAsync);
        server.Unary("/etcdserverpb.Lease/LeaseTimeToLive", LeaseTimeToLiveRequest.Parser, TimeToLiveAsync);
        server.Unary("/etcdserverpb.Lease/LeaseLeases", LeaseLeasesRequest.Parser, LeasesAsync);
        server.Streaming("/etcdserverpb.Lease/LeaseKeepAlive", KeepAliveAsync);
    }

    public async ValueTask<LeaseGrantResponse> GrantAsync(GrpcCall call, LeaseGrantRequest request)
    {
        if (request.TTL > MaxTtlSeconds)
            throw StoreErrors.LeaseTtlTooLarge;
        var user = callers.UserOf(call);
        var granted = new LeaseGrantRequest
        {
            ID = request.ID,
            TTL = Math.Max(request.TTL, (long)Math.Ceiling(replica.Options.MinLeaseTtl.TotalSeconds)),
        };
        while (true)
        {
            if (request.ID == 0)
                granted.ID = BinaryPrimitives.ReadInt64LittleEndian(RandomNumberGenerator.GetBytes(8)) & long.MaxValue;
            try
            {
                var response = await replica.ProposeAsync(CommandKind.LeaseGrant, granted, user).ConfigureAwait(false);
                return ((LeaseGrantResponse)response).From(replica.Header(0));
            }
            catch (StoreException error) when (request.ID == 0 && error.Message == StoreErrors.LeaseExists.Message)
            {
                // The number drawn is taken; draw another.
            }
        }
    }

    public async ValueTask<LeaseRevokeResponse> RevokeAsync(GrpcCall call, LeaseRevokeRequest request)
    {
        var response = await replica.ProposeAsync(CommandKind.LeaseRevoke, request, callers.UserOf(call)).ConfigureAwait(false);
        return ((LeaseRevokeResponse)response).From(replica.Header(0));
    }

    private async ValueTask<LeaseTimeToLiveResponse> TimeToLiveAsync(GrpcCall call, LeaseTimeToLiveRequest request)
    {
        callers.Require(call);
        var reply = await replica.Calls.AskAsync(new LeaderCall { TimeToLive = request }).ConfigureAwait(false);
        if (request.Keys)
            await replica.WaitForReadAsync().ConfigureAwait(false);
        return replica.Read(machine =>
        {
            var response = new LeaseTimeToLiveResponse
            {
                Header = replica.Header(machine.Store.Revision), ID = request.ID, TTL = reply.Ttl, GrantedTTL = reply.GrantedTtl,
            };
            if (request.Keys && machine.Store.Leases.Find(request.ID) is { } lease)
                response.Keys.AddRange(lease.SortedKeys());
            return response;
        });
    }

    private async ValueTask<LeaseLeasesResponse> LeasesAsync(GrpcCall call, LeaseLeasesRequest request)
    {
        callers.Require(call);
        await replica.WaitForReadAsync().ConfigureAwait(false);
        return replica.Read(machine =>
        {
            var response = new LeaseLeasesResponse { Header = replica.Header(machine.Store.Revision) };
            response.Leases.AddRange(machine.Store.Leases.All.Select(l => new LeaseStatus { ID = l.Id }));
            return response;
        });
    }

    private async Task KeepAliveAsync(GrpcCall call)
    {
        callers.Require(call);
        while (await call.ReadAsync(LeaseKeepAliveRequest.Parser).ConfigureAwait(false) is { } request)
        {
            var header = replica.Header(replica.Read(static machine => machine.Store.Revision));
            var reply = await replica.Calls.AskAsync(new LeaderCall { KeepAlive = request }).ConfigureAwait(false);
            call.Write(new LeaseKeepAliveResponse { Header = header, ID = request.ID, TTL = reply.Ttl });
            await call.FlushAsync().ConfigureAwait(false);
        }
    }
}
