using System.Buffers.Binary;
using System.Text;
using Millrace.Storage.Files;

namespace Millrace.Iceberg.Files;

/// <param name="FieldId">Null in files of writers that know nothing of Iceberg.</param>
internal readonly record struct ParquetColumn(string Name, int? FieldId);

/// <summary>
/// The top-level columns of a Parquet file, from its footer (Parquet format, FileMetaData; Thrift compact protocol). Only what tells
/// whether a file carries field ids: everything else of Parquet is DuckDB's.
/// </summary>
internal static class ParquetFooter
{
    private const int MostFooterBytes = 64 << 20;

    /// <exception cref="IcebergException">The file is no Parquet file or its footer is broken.</exception>
    public static IReadOnlyList<ParquetColumn> ReadColumns(IFileSystem files, string path)
    {
        using var file = files.Open(path);
        Span<byte> tail = stackalloc byte[8];
        if (file.Length < 12 || file.Read(file.Length - 8, tail) != 8 || !tail[4..].SequenceEqual("PAR1"u8))
            throw new IcebergException($"{path} is no Parquet file (it does not end with PAR1)");
        var length = BinaryPrimitives.ReadInt32LittleEndian(tail);
        if (length <= 0 || length > MostFooterBytes || length > file.Length - 8)
            throw new IcebergException($"{path} has a footer of {length} bytes in a file of {file.Length}");
        var footer = new byte[length];
        file.Read(file.Length - 8 - length, footer);
        try
        {
            return TopLevel(Elements(footer));
        }
        catch (InvalidDataException error)
        {
            throw new IcebergException($"the footer of {path} is broken: {error.Message}", error);
        }
    }

    private static List<(string Name, int Children, int? FieldId)> Elements(byte[] footer)
    {
        var reader = new CompactReader(footer);
        var field = 0;
        while (reader.NextField(ref field, out var type))
        {
            if (field != 2)
            {
                reader.Skip(type, 0);
                continue;
            }
            var (elementType, count) = reader.ListHeader();
            if (elementType != CompactReader.Struct)
                throw new InvalidDataException("its schema is no list of structs");
            var elements = new List<(string, int, int?)>();
            for (var i = 0; i < count; i++)
                elements.Add(reader.SchemaElement());
            return elements;
        }
        throw new InvalidDataException("it has no schema");
    }

    /// <summary>The schema is a tree in depth-first order under one root.</summary>
    private static List<ParquetColumn> TopLevel(List<(string Name, int Children, int? FieldId)> elements)
    {
        var columns = new List<ParquetColumn>();
        var at = 1;
        while (at < elements.Count)
        {
            columns.Add(new ParquetColumn(elements[at].Name, elements[at].FieldId));
            for (var open = 1; open > 0 && at < elements.Count; at++)
                open += elements[at].Children - 1;
        }
        return columns;
    }

    /// <summary>Thrift's compact protocol, as far as a footer needs it; every length is checked.</summary>
    private ref struct CompactReader(ReadOnlySpan<byte> data)
    {
        public const int Struct = 12;
        private const int MostDepth = 32;

        private readonly ReadOnlySpan<byte> _data = data;
        private int _at;

        public bool NextField(ref int field, out int type)
        {
            var header = Byte();
            type = header & 0x0F;
            if (header == 0)
                return false;
            field = header >> 4 == 0 ? (int)ZigZag() : field + (header >> 4);
            return true;
        }

        public (int Type, int Count) ListHeader()
        {
            var header = Byte();
            var count = header >> 4 == 15 ? (long)Varint() : header >> 4;
            // An element has one byte at least.
            return count >= 0 && count <= _data.Length - _at ? (header & 0x0F, (int)count) : throw new InvalidDataException($"a list of {count} elements");
        }

        public (string Name, int Children, int? FieldId) SchemaElement()
        {
            var name = "";
            var children = 0;
            int? id = null;
            var field = 0;
            while (NextField(ref field, out var type))
            {
                switch (field)
                {
                    case 4:
                        name = Encoding.UTF8.GetString(Binary());
                        break;
                    case 5:
                        children = (int)ZigZag();
                        break;
                    case 9:
                        id = (int)ZigZag();
                        break;
                    default:
                        Skip(type, 0);
                        break;
                }
            }
            return (name, children, id);
        }

        public void Skip(int type, int depth)
        {
            if (depth > MostDepth)
                throw new InvalidDataException($"it nests deeper than {MostDepth}");
            switch (type)
            {
                case 1 or 2:
                    break;
                case 3:
                    Byte();
                    break;
                case 4 or 5 or 6:
                    Varint();
                    break;
                case 7:
                    Take(8);
                    break;
                case 8:
                    Binary();
                    break;
                case 9 or 10:
                    var (element, count) = ListHeader();
                    for (var i = 0; i < count; i++)
                        SkipElement(element, depth + 1);
                    break;
                case 11:
                    var pairs = Varint();
                    if (pairs == 0)
                        break;
                    var types = Byte();
                    for (var i = 0UL; i < pairs; i++)
                    {
                        SkipElement(types >> 4, depth + 1);
                        SkipElement(types & 0x0F, depth + 1);
                    }
                    break;
                case Struct:
                    var field = 0;
                    while (NextField(ref field, out var inner))
                        Skip(inner, depth + 1);
                    break;
                default:
                    throw new InvalidDataException($"a field of type {type}");
            }
        }

        /// <summary>Inside lists and maps a boolean has a byte of its own.</summary>
        private void SkipElement(int type, int depth)
        {
            if (type is 1 or 2)
                Byte();
            else
                Skip(type, depth);
        }

        private ReadOnlySpan<byte> Binary()
        {
            var length = Varint();
            return length <= (ulong)(_data.Length - _at) ? Take((int)length) : throw new InvalidDataException($"a text of {length} bytes");
        }

        private ReadOnlySpan<byte> Take(int count)
        {
            if (count > _data.Length - _at)
                throw new InvalidDataException("it ends inside a value");
            _at += count;
            return _data.Slice(_at - count, count);
        }

        private byte Byte() => _at < _data.Length ? _data[_at++] : throw new InvalidDataException("it ends inside a value");

        private ulong Varint()
        {
            ulong value = 0;
            for (var shift = 0; shift < 64; shift += 7)
            {
                var b = Byte();
                value |= (ulong)(b & 0x7F) << shift;
                if (b < 0x80)
                    return value;
            }
            throw new InvalidDataException("a number has more than ten bytes");
        }

        private long ZigZag()
        {
            var value = Varint();
            return (long)(value >> 1) ^ -(long)(value & 1);
        }
    }
}
