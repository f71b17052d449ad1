using System.Diagnostics.CodeAnalysis;
using Google.Protobuf;

namespace Millrace.Coordination.Store;

/// <summary>Keys are equal when their bytes are, so that a table of them can be asked for a key where it lies.</summary>
internal sealed class KeyEquality : IEqualityComparer<ByteString>, IAlternateEqualityComparer<ReadOnlySpan<byte>, ByteString>
{
    public static KeyEquality Instance { get; } = new();

    public bool Equals(ByteString? one, ByteString? other) => one == other;

    public int GetHashCode([DisallowNull] ByteString key) => GetHashCode(key.Span);

    public bool Equals(ReadOnlySpan<byte> alternate, ByteString other) => alternate.SequenceEqual(other.Span);

    public int GetHashCode(ReadOnlySpan<byte> alternate)
    {
        var hash = new HashCode();
        hash.AddBytes(alternate);
        return hash.ToHashCode();
    }

    public ByteString Create(ReadOnlySpan<byte> alternate) => ByteString.CopyFrom(alternate);
}
