using Millrace.Coordination.Grpc;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Node;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Etcd;

/// <summary>etcdserverpb.Cluster.</summary>
internal sealed class ClusterService(Replica replica, Callers callers)
{
    public void Register(GrpcServer server)
    {
        server.Unary("/etcdserverpb.Cluster/MemberList", MemberListRequest.Parser, ListAsync);
        server.Unary("/etcdserverpb.Cluster/MemberAdd", MemberAddRequest.Parser, AddAsync);
        server.Unary("/etcdserverpb.Cluster/MemberRemove", MemberRemoveRequest.Parser, RemoveAsync);
        server.Unary("/etcdserverpb.Cluster/MemberUpdate", MemberUpdateRequest.Parser, UpdateAsync);
        server.Unary("/etcdserverpb.Cluster/MemberPromote", MemberPromoteRequest.Parser, PromoteAsync);
    }

    private async ValueTask<MemberListResponse> ListAsync(GrpcCall call, MemberListRequest request)
    {
        callers.Require(call);
        if (request.Linearizable)
            await replica.WaitForReadAsync().ConfigureAwait(false);
        var response = new MemberListResponse { Header = Header() };
        response.Members.AddRange(Members());
        return response;
    }

    private async ValueTask<MemberAddResponse> AddAsync(GrpcCall call, MemberAddRequest request)
    {
        callers.RequireAdmin(call);
        CheckUrls(request.PeerURLs);
        if (replica.PeerPort < 0)
            throw StoreErrors.NoPeerPort;
        await replica.WaitForReadAsync().ConfigureAwait(false);
        var members = Members();
        if (members.Any(m => m.PeerURLs.Intersect(request.PeerURLs).Any()))
            throw StoreErrors.PeerUrlExists;
        if (request.IsLearner && members.Count(m => m.IsLearner) >= replica.Options.MaxLearners)
            throw StoreErrors.TooManyLearners;
        var salt = replica.Time.GetUtcNow().ToUnixTimeMilliseconds();
        var member = new Member
        {
            ID = NodeIdentity.MemberIdOf(replica.Options.GroupToken, string.Join(',', request.PeerURLs), salt), IsLearner = request.IsLearner,
        };
        member.PeerURLs.AddRange(request.PeerURLs);
        await replica.ChangeMembersAsync(MemberChange.Types.Kind.Add, member).ConfigureAwait(false);
        var response = new MemberAddResponse { Header = Header(), Member = member };
        response.Members.AddRange(Members());
        return response;
    }

    private async ValueTask<MemberRemoveResponse> RemoveAsync(GrpcCall call, MemberRemoveRequest request)
    {
        callers.RequireAdmin(call);
        await replica.ChangeMembersAsync(MemberChange.Types.Kind.Remove, await FindAsync(request.ID).ConfigureAwait(false)).ConfigureAwait(false);
        var response = new MemberRemoveResponse { Header = Header() };
        response.Members.AddRange(Members());
        return response;
    }

    private async ValueTask<MemberUpdateResponse> UpdateAsync(GrpcCall call, MemberUpdateRequest request)
    {
        callers.RequireAdmin(call);
        var member = new Member(await FindAsync(request.ID).ConfigureAwait(false));
        CheckUrls(request.PeerURLs);
        if (Members().Any(m => m.ID != request.ID && m.PeerURLs.Intersect(request.PeerURLs).Any()))
            throw StoreErrors.PeerUrlExists;
        member.PeerURLs.Clear();
        member.PeerURLs.AddRange(request.PeerURLs);
        await replica.ChangeMembersAsync(MemberChange.Types.Kind.Update, member).ConfigureAwait(false);
        var response = new MemberUpdateResponse { Header = Header() };
        response.Members.AddRange(Members());
        return response;
    }

    private async ValueTask<MemberPromoteResponse> PromoteAsync(GrpcCall call, MemberPromoteRequest request)
    {
        callers.RequireAdmin(call);
        var member = await FindAsync(request.ID).ConfigureAwait(false);
        if (!member.IsLearner)
            throw StoreErrors.MemberNotLearner;
        await replica.ChangeMembersAsync(MemberChange.Types.Kind.Promote, member).ConfigureAwait(false);
        var response = new MemberPromoteResponse { Header = Header() };
        response.Members.AddRange(Members());
        return response;
    }

    private async Task<Member> FindAsync(ulong id)
    {
        await replica.WaitForReadAsync().ConfigureAwait(false);
        return replica.Read(machine => machine.FindMember(id)) ?? throw StoreErrors.MemberNotFound;
    }

    private Member[] Members() => replica.Read(static machine => machine.Members.ToArray());

    /// <summary>Without a revision, as etcd: members are not part of the keys' history.</summary>
    private ResponseHeader Header() => replica.Header(0);

    private static void CheckUrls(IEnumerable<string> urls)
    {
        var any = false;
        foreach (var url in urls)
        {
            any = true;
            if (!Uri.TryCreate(url, UriKind.Absolute, out var parsed) || parsed.Scheme is not ("http" or "https") || parsed.PathAndQuery != "/")
                throw StoreErrors.MemberBadUrls;
        }
        if (!any)
            throw StoreErrors.MemberBadUrls;
    }
}
