using System.Buffers.Binary;

namespace Millrace.Kafka.Compression;

/// <summary>
/// Snappy as Kafka clients write it: one raw block (librdkafka), or blocks in xerial's framing (Java). After Google's
/// "Snappy compressed format description".
/// </summary>
internal static class Snappy
{
    private static ReadOnlySpan<byte> XerialMagic => [0x82, (byte)'S', (byte)'N', (byte)'A', (byte)'P', (byte)'P', (byte)'Y', 0];

    public static void Decompress(ReadOnlySpan<byte> block, ref PooledOutput output)
    {
        if (!block.StartsWith(XerialMagic))
        {
            DecompressBlock(block, ref output);
            return;
        }
        var rest = block;
        if (rest.Length < 16)
            throw new InvalidDataException("a xerial snappy header is cut off");
        rest = rest[16..];
        while (!rest.IsEmpty)
        {
            // Concatenated streams carry further headers; Java's writer makes them when batches are appended.
            if (rest.StartsWith(XerialMagic) && rest.Length >= 16)
            {
                rest = rest[16..];
                continue;
            }
            if (rest.Length < 4)
                throw new InvalidDataException("a xerial snappy block length is cut off");
            var length = BinaryPrimitives.ReadInt32BigEndian(rest);
            if (length < 0 || length > rest.Length - 4)
                throw new InvalidDataException($"a xerial snappy block of {length} bytes where {rest.Length - 4} are left");
            DecompressBlock(rest.Slice(4, length), ref output);
            rest = rest[(4 + length)..];
        }
    }

    /// <summary>Compresses into one raw block.</summary>
    public static byte[] Compress(ReadOnlySpan<byte> input)
    {
        var output = new byte[32 + input.Length + input.Length / 6];
        var at = 0;
        for (var size = (uint)input.Length; ; size >>= 7)
        {
            if (size < 0x80)
            {
                output[at++] = (byte)size;
                break;
            }
            output[at++] = (byte)(size | 0x80);
        }
        // Matches are looked for inside 64 KiB windows, so that a 2-byte offset always reaches.
        var table = new ushort[1 << 14];
        for (var from = 0; from < input.Length; from += 1 << 16)
            at = CompressWindow(input.Slice(from, Math.Min(1 << 16, input.Length - from)), table, output, at);
        return output[..at];
    }

    private static int CompressWindow(ReadOnlySpan<byte> window, ushort[] table, byte[] output, int at)
    {
        Array.Clear(table);
        var literalFrom = 0;
        var i = 0;
        while (i + 4 <= window.Length)
        {
            var word = BinaryPrimitives.ReadUInt32LittleEndian(window[i..]);
            ref var slot = ref table[(word * 0x1E35A7BDu) >> 18];
            int candidate = slot;
            slot = (ushort)i;
            if (candidate >= i || BinaryPrimitives.ReadUInt32LittleEndian(window[candidate..]) != word)
            {
                i++;
                continue;
            }
            at = Literal(window[literalFrom..i], output, at);
            var length = 4 + window[(i + 4)..].CommonPrefixLength(window[(candidate + 4)..]);
            var offset = i - candidate;
            i += length;
            literalFrom = i;
            for (; length > 0; length -= Math.Min(length, 64))
            {
                var part = Math.Min(length, 64);
                output[at++] = (byte)(2 | ((part - 1) << 2));
                BinaryPrimitives.WriteUInt16LittleEndian(output.AsSpan(at), (ushort)offset);
                at += 2;
            }
        }
        return Literal(window[literalFrom..], output, at);
    }

    private static int Literal(ReadOnlySpan<byte> literal, byte[] output, int at)
    {
        if (literal.IsEmpty)
            return at;
        var length = literal.Length - 1;
        if (length < 60)
        {
            output[at++] = (byte)(length << 2);
        }
        else
        {
            output[at++] = 61 << 2;
            BinaryPrimitives.WriteUInt16LittleEndian(output.AsSpan(at), (ushort)length);
            at += 2;
        }
        literal.CopyTo(output.AsSpan(at));
        return at + literal.Length;
    }

    private static void DecompressBlock(ReadOnlySpan<byte> block, ref PooledOutput output)
    {
        var position = 0;
        var size = 0L;
        for (var shift = 0; ; shift += 7)
        {
            if (position >= block.Length || shift > 28)
                throw new InvalidDataException("a snappy block has no length");
            var b = block[position++];
            size |= (long)(b & 0x7F) << shift;
            if (b < 0x80)
                break;
        }
        // A copy of 3 bytes makes at most 64: no honest block claims more, and room is taken only for what can come.
        if (size > block.Length * 64L)
            throw new InvalidDataException($"a snappy block of {block.Length} bytes claims {size}");
        var target = output.Room((int)Math.Max(size, 1))[..(int)size];
        var written = 0;
        while (position < block.Length)
        {
            var tag = block[position++];
            if ((tag & 3) == 0)
                CopyLiteral(block, ref position, tag >> 2, target, ref written);
            else
                CopyBack(block, ref position, tag, target, ref written);
        }
        if (written != target.Length)
            throw new InvalidDataException($"a snappy block ended at {written} of {target.Length} bytes");
        output.Advance(written);
    }

    private static void CopyLiteral(ReadOnlySpan<byte> block, ref int position, int code, Span<byte> target, ref int written)
    {
        long length = code;
        if (code >= 60)
        {
            var count = code - 59;
            if (count > block.Length - position)
                throw Cut();
            length = 0;
            for (var i = 0; i < count; i++)
                length |= (long)block[position++] << (8 * i);
        }
        length++;
        if (length > block.Length - position || length > target.Length - written)
            throw Cut();
        block.Slice(position, (int)length).CopyTo(target[written..]);
        position += (int)length;
        written += (int)length;
    }

    private static void CopyBack(ReadOnlySpan<byte> block, ref int position, byte tag, Span<byte> target, ref int written)
    {
        int length, offset;
        var bytes = (tag & 3) switch { 1 => 1, 2 => 2, _ => 4 };
        if (bytes > block.Length - position)
            throw Cut();
        if (bytes == 1)
        {
            length = 4 + ((tag >> 2) & 7);
            offset = ((tag >> 5) << 8) | block[position];
        }
        else
        {
            length = 1 + (tag >> 2);
            offset = bytes == 2
                ? BinaryPrimitives.ReadUInt16LittleEndian(block[position..])
                : BinaryPrimitives.ReadInt32LittleEndian(block[position..]);
        }
        position += bytes;
        if (offset <= 0 || offset > written || length > target.Length - written)
            throw Cut();
        if (offset >= length)
        {
            target.Slice(written - offset, length).CopyTo(target[written..]);
            written += length;
            return;
        }
        // Overlapping copies repeat what they write.
        for (var i = 0; i < length; i++, written++)
            target[written] = target[written - offset];
    }

    private static InvalidDataException Cut() => new("a snappy block is cut off or refers outside of itself");
}
