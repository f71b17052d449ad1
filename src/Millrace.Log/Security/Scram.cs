using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Millrace.Log.Security;

/// <summary>What is kept of a password for one mechanism (RFC 5802, section 3): nothing that logs in by itself.</summary>
internal sealed record ScramCredential(byte[] Salt, int Iterations, byte[] StoredKey, byte[] ServerKey);

/// <summary>The hash that a mechanism uses.</summary>
internal sealed class ScramHash
{
    public const int MinIterations = 4096;
    public const int MaxIterations = 16384;
    public const int OwnIterations = 8192;

    public static readonly ScramHash Sha256 = new(HashAlgorithmName.SHA256, 32, BrokerSecurity.ScramSha256, 1);
    public static readonly ScramHash Sha512 = new(HashAlgorithmName.SHA512, 64, BrokerSecurity.ScramSha512, 2);

    private readonly HashAlgorithmName _algorithm;

    private ScramHash(HashAlgorithmName algorithm, int bytes, string mechanism, sbyte number)
    {
        _algorithm = algorithm;
        Bytes = bytes;
        Mechanism = mechanism;
        Number = number;
    }

    public static IReadOnlyList<ScramHash> All { get; } = [Sha256, Sha512];

    public int Bytes { get; }

    public string Mechanism { get; }

    /// <summary>On the wire of AlterUserScramCredentials.</summary>
    public sbyte Number { get; }

    public static ScramHash? Find(sbyte number) => number == 1 ? Sha256 : number == 2 ? Sha512 : null;

    public static ScramHash? Find(string mechanism) => mechanism == Sha256.Mechanism ? Sha256 : mechanism == Sha512.Mechanism ? Sha512 : null;

    public byte[] Hmac(byte[] key, ReadOnlySpan<byte> text) => this == Sha256 ? HMACSHA256.HashData(key, text) : HMACSHA512.HashData(key, text);

    public byte[] Hash(ReadOnlySpan<byte> text) => this == Sha256 ? SHA256.HashData(text) : SHA512.HashData(text);

    public byte[] Salted(string password, byte[] salt, int iterations) =>
        Rfc2898DeriveBytes.Pbkdf2(Encoding.UTF8.GetBytes(password), salt, iterations, _algorithm, Bytes);

    /// <summary>A credential from a password, with a salt of its own.</summary>
    public ScramCredential Credential(string password)
    {
        var salt = RandomNumberGenerator.GetBytes(24);
        return Credential(salt, OwnIterations, Salted(password, salt, OwnIterations));
    }

    public ScramCredential Credential(byte[] salt, int iterations, byte[] salted) =>
        new(salt, iterations, Hash(Hmac(salted, "Client Key"u8)), Hmac(salted, "Server Key"u8));

    /// <summary>Whether a password is the one that was kept.</summary>
    public bool Verify(string password, ScramCredential credential) => CryptographicOperations.FixedTimeEquals(
        Hash(Hmac(Salted(password, credential.Salt, credential.Iterations), "Client Key"u8)), credential.StoredKey);
}

/// <summary>The server's side of one SCRAM login (RFC 5802, section 5), without channel binding as Kafka's clients speak it.</summary>
internal sealed class ScramLogin(ScramHash hash, Func<string, ScramCredential?> find, byte[] saltOfUnknown, string? nonce = null)
{
    private string _authMessage = "";
    private string _nonce = "";
    private string _header = "";
    private ScramCredential? _credential;
    private bool _known;

    public string User { get; private set; } = "";

    /// <summary>Answers client-first.</summary>
    /// <exception cref="LoginException">It is not what the RFC says.</exception>
    public byte[] First(ReadOnlySpan<byte> message)
    {
        var text = Text(message);
        var bareFrom = text.IndexOf(',', text.IndexOf(',', StringComparison.Ordinal) + 1) + 1;
        if (text.Length < 3 || text[0] is not ('n' or 'y') || bareFrom < 3)
            throw new LoginException("the first message is not SCRAM without channel binding");
        _header = text[..bareFrom];
        var bare = text[bareFrom..];
        var parts = bare.Split(',');
        if (parts.Length < 2 || !parts[0].StartsWith("n=", StringComparison.Ordinal) || !parts[1].StartsWith("r=", StringComparison.Ordinal) || parts[1].Length < 3)
            throw new LoginException("the first message has no user or no nonce");
        User = parts[0][2..].Replace("=2C", ",", StringComparison.Ordinal).Replace("=3D", "=", StringComparison.Ordinal);
        var authorizationId = _header.Split(',')[1];
        if (authorizationId.Length > 0 && authorizationId != "a=" + parts[0][2..])
            throw new LoginException("acting as another user is not supported");
        _credential = find(User);
        _known = _credential is not null;
        // Who asks for a user that is not there gets the same kind of answer, and the same one each time.
        _credential ??= new ScramCredential(hash.Hmac(saltOfUnknown, Encoding.UTF8.GetBytes(User))[..24], ScramHash.OwnIterations, [], []);
        _nonce = parts[1][2..] + (nonce ?? Convert.ToBase64String(RandomNumberGenerator.GetBytes(18)));
        var answer = string.Create(CultureInfo.InvariantCulture, $"r={_nonce},s={Convert.ToBase64String(_credential.Salt)},i={_credential.Iterations}");
        _authMessage = bare + "," + answer + ",";
        return Encoding.UTF8.GetBytes(answer);
    }

    /// <summary>Checks client-final and gives the server's own proof.</summary>
    /// <exception cref="LoginException">The proof is wrong.</exception>
    public byte[] Final(ReadOnlySpan<byte> message)
    {
        var text = Text(message);
        var proofAt = text.LastIndexOf(",p=", StringComparison.Ordinal);
        var parts = text.Split(',');
        // librdkafka before 2.6.1 puts its own nonce before the whole (librdkafka#4895), and Kafka's ScramSaslServer looks at the end alone.
        if (proofAt < 0 || parts.Length < 3 || parts[0] != "c=" + Convert.ToBase64String(Encoding.UTF8.GetBytes(_header))
            || !parts[1].StartsWith("r=", StringComparison.Ordinal) || !parts[1].EndsWith(_nonce, StringComparison.Ordinal))
            throw new LoginException("the final message does not belong to this login");
        var proof = new byte[hash.Bytes];
        var good = Convert.TryFromBase64String(text[(proofAt + 3)..], proof, out var length) && length == proof.Length;
        var auth = Encoding.UTF8.GetBytes(_authMessage + text[..proofAt]);
        if (!good || !_known)
            throw new LoginException("wrong user or password");
        var signature = hash.Hmac(_credential!.StoredKey, auth);
        for (var i = 0; i < proof.Length; i++)
            proof[i] ^= signature[i];
        if (!CryptographicOperations.FixedTimeEquals(hash.Hash(proof), _credential.StoredKey))
            throw new LoginException("wrong user or password");
        return Encoding.UTF8.GetBytes("v=" + Convert.ToBase64String(hash.Hmac(_credential.ServerKey, auth)));
    }

    private static string Text(ReadOnlySpan<byte> message)
    {
        if (message.Length > 4096 || !System.Text.Unicode.Utf8.IsValid(message))
            throw new LoginException("the message is too long or not UTF-8");
        return Encoding.UTF8.GetString(message);
    }
}

/// <summary>A login failed; the message may be told to the client.</summary>
internal sealed class LoginException(string message) : Exception(message);
