using System.Buffers.Binary;
using System.Numerics;
using System.Security.Cryptography;
using System.Text;

namespace Millrace.Coordination.Etcd;

/// <summary>
/// bcrypt (Niels Provos and David Mazières, "A Future-Adaptable Password Scheme", 1999) over Blowfish (Bruce Schneier, 1993): how etcd keeps passwords, so that
/// users move between the two with their snapshot.
/// </summary>
internal static class Bcrypt
{
    public const int MinCost = 4;
    public const int MaxCost = 31;

    /// <summary>Of a password; what comes after would not count.</summary>
    public const int MaxPasswordBytes = 72;
    private const string Prefix = "$2a$";
    private const int SaltBytes = 16;
    private const int HashBytes = 23;
    private const int SaltChars = 22;
    private const int HashAt = 7;
    private const int Length = 60;
    private const int Words = 18 + (4 * 256);
    private const string Alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    private static readonly Lazy<uint[]> Initial = new(DigitsOfPi);

    /// <summary>With a fresh salt, in the usual text of 60 letters.</summary>
    public static byte[] Hash(string password, int cost)
    {
        var salt = RandomNumberGenerator.GetBytes(SaltBytes);
        return Encoding.ASCII.GetBytes($"{Prefix}{cost:d2}${Encode(salt)}{Encode(Compute(password, cost, salt))}");
    }

    /// <summary>Whether a password is the one that was hashed; false as well when this is no hash of bcrypt's.</summary>
    public static bool Verify(string password, ReadOnlySpan<byte> hashed)
    {
        if (hashed.Length != Length || hashed[0] != '$' || hashed[1] != '2' || hashed[2] is not ((byte)'a' or (byte)'b' or (byte)'y') || hashed[3] != '$'
            || hashed[6] != '$' || !int.TryParse(Encoding.ASCII.GetString(hashed[4..6]), out var cost) || cost is < MinCost or > MaxCost)
            return false;
        return TryDecode(hashed.Slice(HashAt, SaltChars), SaltBytes, out var salt) && TryDecode(hashed[(HashAt + SaltChars)..], HashBytes, out var hash)
            && CryptographicOperations.FixedTimeEquals(Compute(password, cost, salt), hash);
    }

    private static byte[] Compute(string password, int cost, ReadOnlySpan<byte> salt)
    {
        // The zero that ends a text of C belongs to the key.
        var key = Encoding.UTF8.GetBytes(password + "\0");
        var cipher = new Blowfish(Initial.Value);
        cipher.Expand(key, salt);
        Span<byte> none = stackalloc byte[SaltBytes];
        none.Clear();
        for (var round = 0L; round < 1L << cost; round++)
        {
            cipher.Expand(key, none);
            cipher.Expand(salt, none);
        }
        var text = "OrpheanBeholderScryDoubt"u8.ToArray();
        for (var block = 0; block < text.Length; block += 8)
        {
            var left = BinaryPrimitives.ReadUInt32BigEndian(text.AsSpan(block));
            var right = BinaryPrimitives.ReadUInt32BigEndian(text.AsSpan(block + 4));
            for (var i = 0; i < 64; i++)
                cipher.Encrypt(ref left, ref right);
            BinaryPrimitives.WriteUInt32BigEndian(text.AsSpan(block), left);
            BinaryPrimitives.WriteUInt32BigEndian(text.AsSpan(block + 4), right);
        }
        return text[..HashBytes];
    }

    private static string Encode(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder();
        for (var i = 0; i < bytes.Length; i += 3)
        {
            var group = bytes[i] << 16 | (i + 1 < bytes.Length ? bytes[i + 1] << 8 : 0) | (i + 2 < bytes.Length ? bytes[i + 2] : 0);
            var letters = Math.Min(4, bytes.Length - i + 1);
            for (var letter = 0; letter < letters; letter++)
                text.Append(Alphabet[(group >> (18 - (6 * letter))) & 63]);
        }
        return text.ToString();
    }

    private static bool TryDecode(ReadOnlySpan<byte> text, int length, out byte[] bytes)
    {
        bytes = new byte[length];
        var bits = 0;
        var held = 0;
        var at = 0;
        foreach (var letter in text)
        {
            var value = Alphabet.IndexOf((char)letter, StringComparison.Ordinal);
            if (value < 0)
                return false;
            held = (held << 6 | value) & 0xFFFFFF;
            bits += 6;
            if (bits < 8)
                continue;
            bits -= 8;
            if (at < length)
                bytes[at++] = (byte)(held >> bits);
        }
        return at == length;
    }

    /// <summary>
    /// Blowfish begins with the binary digits of pi after the point. Machin's formula (1706): pi = 16 arctan 1/5 - 4 arctan 1/239.
    /// </summary>
    private static uint[] DigitsOfPi()
    {
        const int guard = 64;
        var one = BigInteger.One << ((Words * 32) + guard);
        var pi = ((16 * ArcTangent(5, one)) - (4 * ArcTangent(239, one))) >> guard;
        var words = new uint[Words];
        for (var i = 0; i < Words; i++)
            words[i] = (uint)((pi >> ((Words - 1 - i) * 32)) & uint.MaxValue);
        return words;
    }

    /// <summary>Of one part in so many, as a fraction of one.</summary>
    private static BigInteger ArcTangent(int part, BigInteger one)
    {
        var power = one / part;
        var sum = power;
        for (var n = 3; !power.IsZero; n += 2)
        {
            power /= part * part;
            sum += (n & 2) != 0 ? -power / n : power / n;
        }
        return sum;
    }

    private sealed class Blowfish
    {
        private readonly uint[] _subkeys;
        private readonly uint[] _boxes;

        public Blowfish(uint[] initial)
        {
            _subkeys = initial[..18];
            _boxes = initial[18..];
        }

        /// <summary>Mixes a key and a salt into the state.</summary>
        public void Expand(ReadOnlySpan<byte> key, ReadOnlySpan<byte> salt)
        {
            var at = 0;
            for (var i = 0; i < _subkeys.Length; i++)
                _subkeys[i] ^= Next(key, ref at);
            uint left = 0, right = 0;
            at = 0;
            Fill(_subkeys, salt, ref at, ref left, ref right);
            Fill(_boxes, salt, ref at, ref left, ref right);
        }

        public void Encrypt(ref uint left, ref uint right)
        {
            var subkeys = _subkeys;
            var boxes = _boxes.AsSpan(0, 1024);
            var (l, r) = (left, right);
            for (var i = 0; i < 16; i += 2)
            {
                l ^= subkeys[i];
                r ^= Mix(boxes, l);
                r ^= subkeys[i + 1];
                l ^= Mix(boxes, r);
            }
            (left, right) = (r ^ subkeys[17], l ^ subkeys[16]);
        }

        private static uint Mix(ReadOnlySpan<uint> boxes, uint x) =>
            ((boxes[(int)(x >> 24)] + boxes[256 + (int)(x >> 16 & 255)]) ^ boxes[512 + (int)(x >> 8 & 255)]) + boxes[768 + (int)(x & 255)];

        private void Fill(uint[] into, ReadOnlySpan<byte> salt, ref int at, ref uint left, ref uint right)
        {
            for (var i = 0; i < into.Length; i += 2)
            {
                left ^= Next(salt, ref at);
                right ^= Next(salt, ref at);
                Encrypt(ref left, ref right);
                (into[i], into[i + 1]) = (left, right);
            }
        }

        /// <summary>The next four bytes, over and over.</summary>
        private static uint Next(ReadOnlySpan<byte> bytes, ref int at)
        {
            uint word = 0;
            for (var i = 0; i < 4; i++)
            {
                word = word << 8 | bytes[at];
                at = at + 1 == bytes.Length ? 0 : at + 1;
            }
            return word;
        }
    }
}
