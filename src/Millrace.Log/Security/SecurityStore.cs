using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Millrace.Storage.Files;

namespace Millrace.Log.Security;

/// <summary>All that is kept: users, rules, quotas. Immutable; replaced whole.</summary>
/// <param name="Users">By name, then by mechanism.</param>
internal sealed record SecurityState(
    IReadOnlyDictionary<string, IReadOnlyDictionary<string, ScramCredential>> Users, IReadOnlyCollection<Acl> Acls, IReadOnlyList<ClientQuota> Quotas);

/// <summary>
/// Users, rules and quotas in the file <c>security.json</c> of the log's folder, replaced whole and flushed before a change is answered.
/// Passwords are not kept. Thread-safe.
/// </summary>
public sealed class SecurityStore
{
    public const string FileName = "security.json";
    private const int Format = 1;
    private const int MaxUsers = 10_000;
    private const int MaxAcls = 100_000;
    private const int MaxQuotas = 10_000;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true, Converters = { new JsonStringEnumConverter() }, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    private readonly IFileSystem _files;
    private readonly string _path;
    private readonly Lock _changes = new();
    private readonly OwnUser? _own;
    private readonly Dictionary<string, ScramCredential> _ownCredentials = [];
    private volatile SecurityState _current;

    private SecurityStore(IFileSystem files, string path, SecurityState state, OwnUser? own)
    {
        (_files, _path, _current, _own) = (files, path, state, own);
        foreach (var hash in own is null ? [] : ScramHash.All)
            _ownCredentials[hash.Mechanism] = hash.Credential(own!.Password);
    }

    /// <summary>Reads the file, or begins without one. For a broker's folder that no broker has open, or by the broker itself.</summary>
    /// <exception cref="InvalidDataException">The file is damaged.</exception>
    public static SecurityStore Open(IFileSystem files, string folder, OwnUser? own = null)
    {
        var path = Path.Combine(folder, FileName);
        var state = new SecurityState(new Dictionary<string, IReadOnlyDictionary<string, ScramCredential>>(), [], []);
        if (files.FileExists(path))
        {
            try
            {
                var file = JsonSerializer.Deserialize<SecurityFile>(DurableFile.ReadAll(files, path), Json);
                if (file is not { Format: Format, Users: not null, Acls: not null, Quotas: not null })
                    throw new InvalidDataException($"{path} is not of format {Format}; it was written by another version");
                state = new SecurityState(
                    file.Users.ToDictionary(u => u.Key, u => (IReadOnlyDictionary<string, ScramCredential>)u.Value), new HashSet<Acl>(file.Acls), file.Quotas);
            }
            catch (JsonException error)
            {
                throw new InvalidDataException($"{path} is damaged at line {error.LineNumber + 1}; restore it from a backup", error);
            }
        }
        return new SecurityStore(files, path, state, own);
    }

    internal SecurityState Current => _current;

    /// <summary>Of this start: salts of users that are not there.</summary>
    internal byte[] Secret { get; } = RandomNumberGenerator.GetBytes(32);

    /// <summary>Users with their mechanisms, by name.</summary>
    public IReadOnlyList<KeyValuePair<string, IReadOnlyList<string>>> Users() =>
        [.. _current.Users.OrderBy(u => u.Key, StringComparer.Ordinal).Select(u => KeyValuePair.Create(u.Key, (IReadOnlyList<string>)[.. u.Value.Keys.Order(StringComparer.Ordinal)]))];

    /// <summary>Makes a user, or gives one another password. It holds for every mechanism.</summary>
    /// <returns>False when the user was there.</returns>
    /// <exception cref="ArgumentException">The name or the password cannot be used.</exception>
    public bool SetPassword(string user, string password)
    {
        if (CheckName(user) is { } wrong)
            throw new ArgumentException(wrong, nameof(user));
        if (password.Length is 0 or > 1024 || password.Contains('\0'))
            throw new ArgumentException("a password has 1 to 1024 characters", nameof(password));
        var credentials = ScramHash.All.ToDictionary(h => h.Mechanism, h => h.Credential(password));
        return Change(state =>
        {
            var users = new Dictionary<string, IReadOnlyDictionary<string, ScramCredential>>(state.Users) { [user] = credentials };
            return (state with { Users = users }, !state.Users.ContainsKey(user));
        });
    }

    /// <summary>False when there is no such user.</summary>
    public bool RemoveUser(string user) => Change(state =>
    {
        var users = new Dictionary<string, IReadOnlyDictionary<string, ScramCredential>>(state.Users);
        return users.Remove(user) ? (state with { Users = users }, true) : (state, false);
    });

    /// <summary>
    /// Who a name and a password are: what to remember of it, or null when they are wrong. Costs some milliseconds, as much for a user that is
    /// not there.
    /// </summary>
    public PasswordLogin? CheckPassword(string user, string password)
    {
        if (user.Length is 0 or > 256 || password.Length is 0 or > 1024)
            return null;
        foreach (var hash in ScramHash.All)
        {
            if (Credential(user, hash) is { } credential)
                return hash.Verify(password, credential) ? new PasswordLogin(user, hash.Mechanism, credential) : null;
        }
        ScramHash.Sha256.Salted(password, Secret, ScramHash.OwnIterations);
        return null;
    }

    /// <summary>Whether a login still holds: the user is there and has the same password.</summary>
    public bool Holds(PasswordLogin login) => ScramHash.Find(login.Mechanism) is { } hash && ReferenceEquals(Credential(login.User, hash), login.Credential);

    internal static string? CheckName(string user) =>
        user.Length is 0 or > 256 ? "a user's name has 1 to 256 characters"
        : user.Any(c => char.IsControl(c) || c is ',' or '=') ? "a user's name has no comma, equals sign or control character"
        : null;

    internal ScramCredential? Credential(string user, ScramHash hash) =>
        user == _own?.Name ? _ownCredentials[hash.Mechanism]
        : _current.Users.TryGetValue(user, out var credentials) ? credentials.GetValueOrDefault(hash.Mechanism)
        : null;

    internal T Change<T>(Func<SecurityState, (SecurityState State, T Result)> change)
    {
        lock (_changes)
        {
            var (state, result) = change(_current);
            if (ReferenceEquals(state, _current))
                return result;
            if (state.Users.Count > MaxUsers || state.Acls.Count > MaxAcls || state.Quotas.Count > MaxQuotas)
                throw new ArgumentException($"at most {MaxUsers} users, {MaxAcls} rules and {MaxQuotas} quotas are kept");
            var file = new SecurityFile(
                Format, state.Users.ToDictionary(u => u.Key, u => u.Value.ToDictionary()), [.. state.Acls], [.. state.Quotas]);
            DurableFile.Replace(_files, _path, JsonSerializer.SerializeToUtf8Bytes(file, Json));
            if (!OperatingSystem.IsWindows() && File.Exists(_path))
                File.SetUnixFileMode(_path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            _current = state;
            return result;
        }
    }

    private sealed record SecurityFile(int Format, Dictionary<string, Dictionary<string, ScramCredential>> Users, List<Acl> Acls, List<ClientQuota> Quotas);
}

/// <summary>A login by password that was right when it was checked.</summary>
public sealed class PasswordLogin
{
    internal PasswordLogin(string user, string mechanism, object credential)
    {
        (User, Mechanism, Credential) = (user, mechanism, credential);
    }

    public string User { get; }

    internal string Mechanism { get; }

    internal object Credential { get; }
}
