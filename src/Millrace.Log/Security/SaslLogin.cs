using System.Text;

namespace Millrace.Log.Security;

/// <summary>One connection's login by the mechanism that its handshake named.</summary>
internal sealed class SaslLogin
{
    private readonly SecurityStore _store;
    private readonly ScramLogin? _scram;
    private int _step;

    /// <param name="mechanism">One that is turned on.</param>
    public SaslLogin(SecurityStore store, string mechanism)
    {
        _store = store;
        if (ScramHash.Find(mechanism) is { } hash)
            _scram = new ScramLogin(hash, user => store.Credential(user, hash), store.Secret);
    }

    /// <summary>Set when the login is done.</summary>
    public string? User { get; private set; }

    /// <summary>Takes the client's next token and gives the server's.</summary>
    /// <exception cref="LoginException">The login failed.</exception>
    public byte[] Step(ReadOnlySpan<byte> token)
    {
        if (User is not null)
            throw new LoginException("the login is over");
        if (_scram is null)
        {
            User = Plain(token);
            return [];
        }
        if (_step++ == 0)
            return _scram.First(token);
        var answer = _scram.Final(token);
        User = _scram.User;
        return answer;
    }

    // RFC 4616: authorization id NUL user NUL password.
    private string Plain(ReadOnlySpan<byte> token)
    {
        if (token.Length > 4096 || !System.Text.Unicode.Utf8.IsValid(token))
            throw new LoginException("the message is too long or not UTF-8");
        var parts = Encoding.UTF8.GetString(token).Split('\0');
        if (parts.Length != 3 || parts[1].Length == 0 || parts[2].Length == 0)
            throw new LoginException("the message has not the form of PLAIN");
        if (parts[0].Length > 0 && parts[0] != parts[1])
            throw new LoginException("acting as another user is not supported");
        return _store.CheckPassword(parts[1], parts[2])?.User ?? throw new LoginException("wrong user or password");
    }
}
