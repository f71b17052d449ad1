using Google.Protobuf;

namespace Millrace.Coordination.Store;

/// <summary>
/// A key, or all keys from one up to another, as etcd writes it: no end is one key, an end of one zero byte is everything from the key
/// on.
/// </summary>
internal readonly record struct KeyRange(ByteString Key, ByteString End)
{
    public bool IsSingle => End.IsEmpty;

    public bool IsOpenEnded => End.Length == 1 && End[0] == 0;

    public bool Contains(ReadOnlySpan<byte> key)
    {
        if (IsSingle)
            return key.SequenceEqual(Key.Span);
        return Key.Span.SequenceCompareTo(key) <= 0 && (IsOpenEnded || key.SequenceCompareTo(End.Span) < 0);
    }

    /// <summary>Whether every key of another range is in this one.</summary>
    public bool Covers(KeyRange other)
    {
        if (other.IsSingle)
            return Contains(other.Key.Span);
        if (IsSingle || Key.Span.SequenceCompareTo(other.Key.Span) > 0)
            return false;
        return IsOpenEnded || (!other.IsOpenEnded && other.End.Span.SequenceCompareTo(End.Span) <= 0);
    }
}
