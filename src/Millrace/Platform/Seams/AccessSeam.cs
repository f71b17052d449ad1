using Millrace.Log.Security;
using Millrace.WebConsole.Seams;

namespace Millrace.Host.Platform.Seams;

/// <summary>The broker's users as those who may use the HTTP port.</summary>
internal sealed class AccessSeam(SecurityStore store, BrokerSecurity security) : IAccess
{
    private readonly HashSet<string> _superUsers =
        [.. security.SuperUsers.Append(security.Own?.Name).OfType<string>().Select(u => u.StartsWith("User:", StringComparison.Ordinal) ? u[5..] : u)];

    public Visitor? Check(string user, string password) =>
        store.CheckPassword(user, password) is { } login ? new Visitor(user, !security.Authorize || _superUsers.Contains(user), login) : null;

    public bool Holds(Visitor visitor) => store.Holds((PasswordLogin)visitor.Login);
}
