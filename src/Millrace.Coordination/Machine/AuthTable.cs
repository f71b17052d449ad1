using Google.Protobuf;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Machine;

/// <summary>Users, roles and rights, replicated (etcd: server/auth/store.go). Passwords come hashed.</summary>
internal sealed class AuthTable
{
    public const string Root = "root";
    private static readonly Comparer<ByteString> ByBytes = Comparer<ByteString>.Create(static (a, b) => a.Span.SequenceCompareTo(b.Span));
    private readonly SortedDictionary<string, AuthUser> _users = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, AuthRole> _roles = new(StringComparer.Ordinal);

    public bool IsEnabled { get; private set; }

    /// <summary>Counts changes of users, roles and rights.</summary>
    public ulong Revision { get; private set; } = 1;

    /// <summary>Signs tokens; all members have the same.</summary>
    public ByteString TokenKey { get; private set; } = ByteString.Empty;

    public IReadOnlyCollection<string> UserNames => _users.Keys;

    public IReadOnlyCollection<string> RoleNames => _roles.Keys;

    public void Enable(ByteString tokenKey)
    {
        if (IsEnabled)
            return;
        if (!_users.TryGetValue(Root, out var root))
            throw StoreErrors.RootUserNotExist;
        if (!root.Roles.Contains(Root))
            throw StoreErrors.RootRoleNotExist;
        IsEnabled = true;
        TokenKey = tokenKey;
    }

    public void Disable()
    {
        if (!IsEnabled)
            return;
        IsEnabled = false;
        Revision++;
    }

    public AuthUser User(string name) => _users.GetValueOrDefault(name) ?? throw StoreErrors.UserNotFound;

    public AuthUser? FindUser(string name) => _users.GetValueOrDefault(name);

    public AuthRole Role(string name) => _roles.GetValueOrDefault(name) ?? throw StoreErrors.RoleNotFound;

    public void AddUser(AuthUserAddRequest request)
    {
        if (request.Name.Length == 0)
            throw StoreErrors.UserEmpty;
        var user = new AuthUser
        {
            Name = request.Name, NoPassword = request.Options?.NoPassword ?? false,
            PasswordHash = ByteString.FromBase64(request.HashedPassword),
        };
        if (!_users.TryAdd(request.Name, user))
            throw StoreErrors.UserExists;
        Revision++;
    }

    public void DeleteUser(string name)
    {
        if (IsEnabled && name == Root)
            throw StoreErrors.InvalidAuthManagement;
        if (!_users.Remove(name))
            throw StoreErrors.UserNotFound;
        Revision++;
    }

    public void ChangePassword(AuthUserChangePasswordRequest request)
    {
        var user = User(request.Name);
        user.PasswordHash = ByteString.FromBase64(request.HashedPassword);
        user.NoPassword = false;
        Revision++;
    }

    public void GrantRole(string userName, string role)
    {
        var user = User(userName);
        if (role != Root)
            Role(role);
        if (user.Roles.Contains(role))
            return;
        var roles = user.Roles.Append(role).Order(StringComparer.Ordinal).ToArray();
        user.Roles.Clear();
        user.Roles.AddRange(roles);
        Revision++;
    }

    public void RevokeRole(string userName, string role)
    {
        if (IsEnabled && userName == Root && role == Root)
            throw StoreErrors.InvalidAuthManagement;
        if (!User(userName).Roles.Remove(role))
            throw StoreErrors.RoleNotGranted;
        Revision++;
    }

    public void AddRole(string name)
    {
        if (name.Length == 0)
            throw StoreErrors.RoleEmpty;
        if (!_roles.TryAdd(name, new AuthRole { Name = name }))
            throw StoreErrors.RoleExists;
        Revision++;
    }

    public void DeleteRole(string name)
    {
        if (IsEnabled && name == Root)
            throw StoreErrors.InvalidAuthManagement;
        if (!_roles.Remove(name))
            throw StoreErrors.RoleNotFound;
        foreach (var user in _users.Values)
            user.Roles.Remove(name);
        Revision++;
    }

    public void GrantPermission(string roleName, Permission? permission)
    {
        if (permission is null)
            throw StoreErrors.PermissionNotGiven;
        var role = Role(roleName);
        var same = role.Permissions.FirstOrDefault(p => p.Key == permission.Key && p.RangeEnd == permission.RangeEnd);
        if (same is not null)
            same.PermType = permission.PermType;
        else
            role.Permissions.Add(permission);
        // As etcd lists them.
        var ordered = role.Permissions.OrderBy(p => p.Key, ByBytes).ToArray();
        role.Permissions.Clear();
        role.Permissions.AddRange(ordered);
        Revision++;
    }

    public void RevokePermission(AuthRoleRevokePermissionRequest request)
    {
        var role = Role(request.Role);
        var found = role.Permissions.FirstOrDefault(p => p.Key == request.Key && p.RangeEnd == request.RangeEnd)
            ?? throw StoreErrors.PermissionNotGranted;
        role.Permissions.Remove(found);
        Revision++;
    }

    public bool IsAdmin(string userName) => !IsEnabled || (_users.TryGetValue(userName, out var user) && user.Roles.Contains(Root));

    /// <exception cref="StoreException">The user may not do this.</exception>
    public void Require(string userName, KeyRange range, bool isWrite)
    {
        if (!IsEnabled)
            return;
        if (!_users.TryGetValue(userName, out var user))
            throw userName.Length == 0 ? StoreErrors.UserEmpty : StoreErrors.PermissionDenied;
        if (user.Roles.Contains(Root))
            return;
        foreach (var name in user.Roles)
        {
            if (!_roles.TryGetValue(name, out var role))
                continue;
            foreach (var permission in role.Permissions)
            {
                var kind = permission.PermType;
                if ((kind == Permission.Types.Type.Readwrite || kind == (isWrite ? Permission.Types.Type.Write : Permission.Types.Type.Read))
                    && new KeyRange(permission.Key, permission.RangeEnd).Covers(range))
                    return;
            }
        }
        throw StoreErrors.PermissionDenied;
    }

    public void RequireAdmin(string userName)
    {
        if (!IsEnabled)
            return;
        if (userName.Length == 0)
            throw StoreErrors.UserEmpty;
        if (!IsAdmin(userName))
            throw StoreErrors.PermissionDenied;
    }

    public AuthState Save()
    {
        var state = new AuthState { Enabled = IsEnabled, Revision = Revision, TokenKey = TokenKey };
        state.Users.AddRange(_users.Values.Select(u => u.Clone()));
        state.Roles.AddRange(_roles.Values.Select(r => r.Clone()));
        return state;
    }

    public void Load(AuthState? state)
    {
        if (state is null)
            return;
        IsEnabled = state.Enabled;
        Revision = state.Revision;
        TokenKey = state.TokenKey;
        foreach (var user in state.Users)
            _users[user.Name] = user;
        foreach (var role in state.Roles)
            _roles[role.Name] = role;
    }
}
