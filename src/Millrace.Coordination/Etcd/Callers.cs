using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Millrace.Coordination.Grpc;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Node;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Etcd;

/// <summary>
/// Who calls. A token is the user's name, when it ends, and a MAC over both and the revision of rights by a key that all members share,
/// so that any member believes a token of any other and none must be kept.
/// </summary>
internal sealed class Callers(Replica replica)
{
    private const int MacBytes = 16;

    /// <summary>The caller's name; empty when rights are not in use.</summary>
    /// <exception cref="StoreException">It needs a token, or the one it has is no good.</exception>
    public string UserOf(GrpcCall call)
    {
        var auth = replica.Machine.Auth;
        if (!auth.IsEnabled)
            return "";
        var token = call.Metadata("token") ?? call.Metadata("authorization");
        if (string.IsNullOrEmpty(token))
        {
            // As etcd: whoever gave no token is who its certificate says, where clients must have one.
            var certified = replica.Options.ClientTls?.RequireClientCertificate == true ? call.CertifiedName : null;
            return string.IsNullOrEmpty(certified) ? throw StoreErrors.UserEmpty : certified;
        }
        return Verify(auth, token) ?? throw StoreErrors.InvalidToken;
    }

    /// <summary>Some calls need no rights to anything, but a good token where tokens are in use.</summary>
    public string Require(GrpcCall call) => UserOf(call);

    public void RequireAdmin(GrpcCall call) => replica.Read(machine =>
    {
        machine.Auth.RequireAdmin(UserOf(call));
        return true;
    });

    public string TokenFor(AuthenticateRequest request)
    {
        var (key, user) = replica.Read(machine => machine.Auth.IsEnabled
            ? (machine.Auth.TokenKey.ToByteArray(), machine.Auth.FindUser(request.Name)?.Clone())
            : throw StoreErrors.AuthNotEnabled);
        if (user is { NoPassword: true })
            throw StoreErrors.NoPasswordUser;
        if (user is null || !Bcrypt.Verify(request.Password, user.PasswordHash.Span))
            throw StoreErrors.AuthFailed;
        var ends = replica.Time.GetUtcNow().Add(replica.Options.TokenLifetime).ToUnixTimeSeconds();
        return $"{Base64Url(Encoding.UTF8.GetBytes(request.Name))}.{ends:x}.{Base64Url(Mac(key, request.Name, ends))}";
    }

    /// <summary>As it is kept, in base 64.</summary>
    public string HashPassword(string password) => Encoding.UTF8.GetByteCount(password) <= Bcrypt.MaxPasswordBytes
        ? Convert.ToBase64String(Bcrypt.Hash(password, replica.Options.BcryptCost))
        : throw StoreErrors.PasswordTooLong;

    private string? Verify(AuthTable auth, string token)
    {
        var parts = token.Split('.');
        if (parts.Length != 3 || !long.TryParse(parts[1], System.Globalization.NumberStyles.HexNumber, null, out var ends))
            return null;
        try
        {
            var name = Encoding.UTF8.GetString(FromBase64Url(parts[0]));
            var isGood = CryptographicOperations.FixedTimeEquals(FromBase64Url(parts[2]), Mac(auth.TokenKey.ToByteArray(), name, ends));
            return isGood && replica.Time.GetUtcNow().ToUnixTimeSeconds() < ends && auth.FindUser(name) is not null ? name : null;
        }
        catch (FormatException)
        {
            return null;
        }
    }

    private static byte[] Mac(byte[] key, string name, long ends)
    {
        var text = new byte[8 + Encoding.UTF8.GetByteCount(name)];
        BinaryPrimitives.WriteInt64LittleEndian(text, ends);
        Encoding.UTF8.GetBytes(name, text.AsSpan(8));
        return HMACSHA256.HashData(key, text)[..MacBytes];
    }

    private static string Base64Url(byte[] bytes) => Convert.ToBase64String(bytes).TrimEnd('=').Replace('+', '-').Replace('/', '_');

    private static byte[] FromBase64Url(string text)
    {
        text = text.Replace('-', '+').Replace('_', '/');
        return Convert.FromBase64String(text + new string('=', (4 - (text.Length % 4)) % 4));
    }
}
