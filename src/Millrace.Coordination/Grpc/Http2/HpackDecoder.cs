using System.Text;

namespace Millrace.Coordination.Grpc.Http2;

internal readonly record struct HeaderField(string Name, string Value)
{
    /// <summary>As RFC 7541, 4.1 counts.</summary>
    public int Size => Name.Length + Value.Length + 32;
}

/// <summary>Turns blocks of headers of one connection into names and values (RFC 7541). Not thread-safe.</summary>
internal sealed class HpackDecoder(int maxListBytes)
{
    private const int TableBytes = 4096;
    private readonly List<HeaderField> _table = [];
    private readonly byte[] _text = new byte[maxListBytes];
    private int _size;
    private int _maxSize = TableBytes;

    /// <summary>Goes up whenever the table changes: until then the same block means the same.</summary>
    public int Generation { get; private set; }

    /// <exception cref="Http2Exception">The block is malformed, or its fields are larger than allowed.</exception>
    public void Decode(ReadOnlySpan<byte> block, List<HeaderField> into)
    {
        var bytes = 0;
        while (!block.IsEmpty)
        {
            var first = block[0];
            HeaderField field;
            if (first >= 0x80)
            {
                field = At(Integer(ref block, 7));
            }
            else if (first >= 0x40)
            {
                field = Literal(ref block, 6);
                Insert(field);
            }
            else if (first >= 0x20)
            {
                Resize(Integer(ref block, 5));
                continue;
            }
            else
            {
                field = Literal(ref block, 4);
            }
            bytes += field.Size;
            if (bytes > maxListBytes)
                throw new Http2Exception(Http2Error.EnhanceYourCalm, $"headers of more than {maxListBytes} bytes (MaxHeaderListBytes)");
            into.Add(field);
        }
    }

    private HeaderField Literal(ref ReadOnlySpan<byte> block, int prefix)
    {
        var index = Integer(ref block, prefix);
        var name = index == 0 ? Text(ref block) : At(index).Name;
        return new HeaderField(name, Text(ref block));
    }

    private HeaderField At(int index)
    {
        if (index >= 1 && index <= StaticTable.Length)
            return StaticTable[index - 1];
        // The newest is at the list's end and has the lowest number.
        var at = _table.Count - (index - StaticTable.Length);
        return index > StaticTable.Length && at >= 0
            ? _table[at]
            : throw new Http2Exception(Http2Error.Compression, $"no header has the index {index}");
    }

    private void Insert(HeaderField field)
    {
        Generation++;
        _table.Add(field);
        _size += field.Size;
        Evict();
    }

    private void Resize(int size)
    {
        if (size > TableBytes)
            throw new Http2Exception(Http2Error.Compression, $"a table of {size} bytes; {TableBytes} are allowed");
        Generation++;
        _maxSize = size;
        Evict();
    }

    private void Evict()
    {
        var count = 0;
        while (_size > _maxSize)
            _size -= _table[count++].Size;
        _table.RemoveRange(0, count);
    }

    private string Text(ref ReadOnlySpan<byte> block)
    {
        var isHuffman = !block.IsEmpty && block[0] >= 0x80;
        var length = Integer(ref block, 7);
        if (length > block.Length)
            throw new Http2Exception(Http2Error.Compression, "a header is cut short");
        var text = block[..length];
        block = block[length..];
        if (!isHuffman)
            return Encoding.Latin1.GetString(text);
        var decoded = Huffman.Decode(text, _text);
        return decoded >= 0
            ? Encoding.Latin1.GetString(_text.AsSpan(0, decoded))
            : throw new Http2Exception(Http2Error.Compression, "a header is not in Huffman's code, or too long");
    }

    /// <summary>RFC 7541, 5.1, up to 2^28.</summary>
    private static int Integer(ref ReadOnlySpan<byte> block, int prefix)
    {
        if (block.IsEmpty)
            throw new Http2Exception(Http2Error.Compression, "a header is cut short");
        var most = (1 << prefix) - 1;
        var value = block[0] & most;
        var at = 1;
        if (value == most)
        {
            for (var shift = 0; ; shift += 7)
            {
                if (at == block.Length || shift > 21)
                    throw new Http2Exception(Http2Error.Compression, "a number in a header is cut short or too large");
                var octet = block[at++];
                value += (octet & 0x7F) << shift;
                if (octet < 0x80)
                    break;
            }
        }
        block = block[at..];
        return value;
    }

    /// <summary>RFC 7541, appendix A.</summary>
    private static readonly HeaderField[] StaticTable =
    [
        new(":authority", ""), new(":method", "GET"), new(":method", "POST"), new(":path", "/"), new(":path", "/index.html"), new(":scheme", "http"),
        new(":scheme", "https"), new(":status", "200"), new(":status", "204"), new(":status", "206"), new(":status", "304"), new(":status", "400"),
        new(":status", "404"), new(":status", "500"), new("accept-charset", ""), new("accept-encoding", "gzip, deflate"), new("accept-language", ""),
        new("accept-ranges", ""), new("accept", ""), new("access-control-allow-origin", ""), new("age", ""), new("allow", ""), new("authorization", ""),
        new("cache-control", ""), new("content-disposition", ""), new("content-encoding", ""), new("content-language", ""), new("content-length", ""),
        new("content-location", ""), new("content-range", ""), new("content-type", ""), new("cookie", ""), new("date", ""), new("etag", ""),
        new("expect", ""), new("expires", ""), new("from", ""), new("host", ""), new("if-match", ""), new("if-modified-since", ""),
        new("if-none-match", ""), new("if-range", ""), new("if-unmodified-since", ""), new("last-modified", ""), new("link", ""), new("location", ""),
        new("max-forwards", ""), new("proxy-authenticate", ""), new("proxy-authorization", ""), new("range", ""), new("referer", ""), new("refresh", ""),
        new("retry-after", ""), new("server", ""), new("set-cookie", ""), new("strict-transport-security", ""), new("transfer-encoding", ""),
        new("user-agent", ""), new("vary", ""), new("via", ""), new("www-authenticate", ""),
    ];
}
