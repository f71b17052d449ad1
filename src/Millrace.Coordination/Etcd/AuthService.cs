using System.Security.Cryptography;
using Google.Protobuf;
using Millrace.Coordination.Grpc;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Node;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Etcd;

/// <summary>etcdserverpb.Auth.</summary>
internal sealed class AuthService(Replica replica, Callers callers)
{
    private const string Prefix = "/etcdserverpb.Auth/";

    public void Register(GrpcServer server)
    {
        server.Unary(Prefix + "AuthEnable", AuthEnableRequest.Parser, (call, _) => ChangeAsync(
            call, CommandKind.AuthEnable, new AuthEnableCommand { TokenKey = ByteString.CopyFrom(RandomNumberGenerator.GetBytes(32)) }));
        server.Unary(Prefix + "AuthDisable", AuthDisableRequest.Parser, (call, r) => ChangeAsync(call, CommandKind.AuthDisable, r));
        server.Unary(Prefix + "AuthStatus", AuthStatusRequest.Parser, StatusAsync);
        server.Unary(Prefix + "Authenticate", AuthenticateRequest.Parser, AuthenticateAsync);
        server.Unary(Prefix + "UserAdd", AuthUserAddRequest.Parser, AddUserAsync);
        server.Unary(Prefix + "UserGet", AuthUserGetRequest.Parser, GetUserAsync);
        server.Unary(Prefix + "UserList", AuthUserListRequest.Parser, ListUsersAsync);
        server.Unary(Prefix + "UserDelete", AuthUserDeleteRequest.Parser, (call, r) => ChangeAsync(call, CommandKind.UserDelete, r));
        server.Unary(Prefix + "UserChangePassword", AuthUserChangePasswordRequest.Parser, ChangePasswordAsync);
        server.Unary(Prefix + "UserGrantRole", AuthUserGrantRoleRequest.Parser, (call, r) => ChangeAsync(call, CommandKind.UserGrantRole, r));
        server.Unary(Prefix + "UserRevokeRole", AuthUserRevokeRoleRequest.Parser, (call, r) => ChangeAsync(call, CommandKind.UserRevokeRole, r));
        server.Unary(Prefix + "RoleAdd", AuthRoleAddRequest.Parser, (call, r) => ChangeAsync(call, CommandKind.RoleAdd, r));
        server.Unary(Prefix + "RoleGet", AuthRoleGetRequest.Parser, GetRoleAsync);
        server.Unary(Prefix + "RoleList", AuthRoleListRequest.Parser, ListRolesAsync);
        server.Unary(Prefix + "RoleDelete", AuthRoleDeleteRequest.Parser, (call, r) => ChangeAsync(call, CommandKind.RoleDelete, r));
        server.Unary(Prefix + "RoleGrantPermission", AuthRoleGrantPermissionRequest.Parser, (call, r) => ChangeAsync(
            call, CommandKind.RoleGrantPermission, r));
        server.Unary(Prefix + "RoleRevokePermission", AuthRoleRevokePermissionRequest.Parser, (call, r) => ChangeAsync(
            call, CommandKind.RoleRevokePermission, r));
    }

    private async ValueTask<AuthResponse> ChangeAsync(GrpcCall call, CommandKind kind, IMessage request)
    {
        var response = await replica.ProposeAsync(kind, request, callers.UserOf(call)).ConfigureAwait(false);
        return ((AuthResponse)response).From(replica.Header(0));
    }

    private ValueTask<AuthResponse> AddUserAsync(GrpcCall call, AuthUserAddRequest request)
    {
        var hashed = new AuthUserAddRequest { Name = request.Name, Options = request.Options };
        if (request.Options?.NoPassword != true)
            hashed.HashedPassword = callers.HashPassword(request.Password);
        return ChangeAsync(call, CommandKind.UserAdd, hashed);
    }

    private ValueTask<AuthResponse> ChangePasswordAsync(GrpcCall call, AuthUserChangePasswordRequest request) =>
        ChangeAsync(call, CommandKind.UserChangePassword, new AuthUserChangePasswordRequest
        {
            Name = request.Name, HashedPassword = callers.HashPassword(request.Password),
        });

    private ValueTask<AuthStatusResponse> StatusAsync(GrpcCall call, AuthStatusRequest request) => ValueTask.FromResult(
        replica.Read(machine => new AuthStatusResponse
        {
            Header = replica.Header(machine.Store.Revision), Enabled = machine.Auth.IsEnabled, AuthRevision = machine.Auth.Revision,
        }));

    private async ValueTask<AuthenticateResponse> AuthenticateAsync(GrpcCall call, AuthenticateRequest request)
    {
        await replica.WaitForReadAsync().ConfigureAwait(false);
        return new AuthenticateResponse
        {
            Header = replica.Header(replica.Read(static machine => machine.Store.Revision)), Token = callers.TokenFor(request),
        };
    }

    private async ValueTask<AuthUserGetResponse> GetUserAsync(GrpcCall call, AuthUserGetRequest request)
    {
        var user = callers.UserOf(call);
        await replica.WaitForReadAsync().ConfigureAwait(false);
        return replica.Read(machine =>
        {
            // Everyone may look at himself.
            if (user != request.Name)
                machine.Auth.RequireAdmin(user);
            var response = new AuthUserGetResponse { Header = replica.Header(machine.Store.Revision) };
            response.Roles.AddRange(machine.Auth.User(request.Name).Roles);
            return response;
        });
    }

    private async ValueTask<AuthRoleGetResponse> GetRoleAsync(GrpcCall call, AuthRoleGetRequest request)
    {
        var user = callers.UserOf(call);
        await replica.WaitForReadAsync().ConfigureAwait(false);
        return replica.Read(machine =>
        {
            if (!machine.Auth.IsAdmin(user) && machine.Auth.FindUser(user)?.Roles.Contains(request.Role) != true)
                throw StoreErrors.PermissionDenied;
            var response = new AuthRoleGetResponse { Header = replica.Header(machine.Store.Revision) };
            // root may everything, whatever was granted to it.
            if (request.Role == AuthTable.Root)
                response.Perm.Add(new Permission { PermType = Permission.Types.Type.Readwrite, Key = ByteString.Empty, RangeEnd = ByteString.CopyFrom(0) });
            else
                response.Perm.AddRange(machine.Auth.Role(request.Role).Permissions.Select(p => p.Clone()));
            return response;
        });
    }

    private async ValueTask<AuthUserListResponse> ListUsersAsync(GrpcCall call, AuthUserListRequest request)
    {
        callers.RequireAdmin(call);
        await replica.WaitForReadAsync().ConfigureAwait(false);
        return replica.Read(machine =>
        {
            var response = new AuthUserListResponse { Header = replica.Header(machine.Store.Revision) };
            response.Users.AddRange(machine.Auth.UserNames);
            return response;
        });
    }

    private async ValueTask<AuthRoleListResponse> ListRolesAsync(GrpcCall call, AuthRoleListRequest request)
    {
        callers.RequireAdmin(call);
        await replica.WaitForReadAsync().ConfigureAwait(false);
        return replica.Read(machine =>
        {
            var response = new AuthRoleListResponse { Header = replica.Header(machine.Store.Revision) };
            response.Roles.AddRange(machine.Auth.RoleNames);
            return response;
        });
    }
}
