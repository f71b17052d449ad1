using System.Security.Cryptography;
using System.Text;

namespace Millrace.Query.Wire;

/// <summary>The server's side of SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677). One exchange; pure.</summary>
internal sealed class ScramServer(string password, byte[] salt, byte[] nonce)
{
    public const string Mechanism = "SCRAM-SHA-256";

    private const int Iterations = 4096;

    private readonly string _salt = Convert.ToBase64String(salt);
    private string _clientFirstBare = "";
    private string _serverFirst = "";
    private string _nonce = "";

    /// <summary>The answer to the client's first message.</summary>
    /// <exception cref="ProtocolException">It is malformed.</exception>
    public string First(string message)
    {
        // gs2-header: "n,," or "y,,"
        var comma = message.IndexOf(',', StringComparison.Ordinal);
        var bare = comma < 0 ? -1 : message.IndexOf(',', comma + 1) + 1;
        if (bare <= 0 || message[0] is not ('n' or 'y'))
            throw new ProtocolException("malformed SCRAM message");
        _clientFirstBare = message[bare..];
        _nonce = Attribute(_clientFirstBare, 'r') + Convert.ToBase64String(nonce);
        _serverFirst = $"r={_nonce},s={_salt},i={Iterations}";
        return _serverFirst;
    }

    /// <summary>The answer to the client's last message, or null when the password is wrong.</summary>
    /// <exception cref="ProtocolException">It is malformed.</exception>
    public string? Final(byte[] body)
    {
        var message = FrameReader.Text(body);
        var proofAt = message.LastIndexOf(",p=", StringComparison.Ordinal);
        if (proofAt < 0)
            throw new ProtocolException("malformed SCRAM message");
        var proof = new byte[SHA256.HashSizeInBytes];
        if (!Convert.TryFromBase64String(message[(proofAt + 3)..], proof, out var length) || length != proof.Length)
            throw new ProtocolException("malformed SCRAM message");
        if (Attribute(message, 'r') != _nonce || Attribute(message, 'c') is not ("biws" or "eSws"))
            return null;
        var salted = Rfc2898DeriveBytes.Pbkdf2(Encoding.UTF8.GetBytes(password), salt, Iterations, HashAlgorithmName.SHA256, SHA256.HashSizeInBytes);
        var clientKey = HMACSHA256.HashData(salted, "Client Key"u8);
        var storedKey = SHA256.HashData(clientKey);
        var exchange = Encoding.UTF8.GetBytes($"{_clientFirstBare},{_serverFirst},{message[..proofAt]}");
        var signature = HMACSHA256.HashData(storedKey, exchange);
        for (var i = 0; i < proof.Length; i++)
            proof[i] ^= signature[i];
        if (!CryptographicOperations.FixedTimeEquals(SHA256.HashData(proof), storedKey))
            return null;
        var serverKey = HMACSHA256.HashData(salted, "Server Key"u8);
        return "v=" + Convert.ToBase64String(HMACSHA256.HashData(serverKey, exchange));
    }

    private static string Attribute(string message, char name)
    {
        foreach (var part in message.Split(','))
        {
            if (part.Length > 2 && part[0] == name && part[1] == '=')
                return part[2..];
        }
        throw new ProtocolException("malformed SCRAM message");
    }
}
