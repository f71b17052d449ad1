using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text;
using System.Text.Unicode;

namespace Millrace.Columnar.Json;

/// <summary>
/// Decodes JSON objects, one a row, straight into the columns of a schema: no object and no string per record. A record that is refused
/// leaves nothing behind. Strict: RFC 8259, valid UTF-8, no lone surrogates, no duplicate keys at the record's level.
/// </summary>
/// <remarks>
/// Numbers go to numeric columns (a whole number may be written with a fraction of zeros or an exponent), text to VARCHAR, ISO 8601 text or
/// numbers since 1970 (seconds, milliseconds, microseconds or nanoseconds, told apart by magnitude) to time stamps, exact numbers or text
/// to decimals, base64 text to BLOB. Absent fields are null. Not thread-safe; reused from batch to batch.
/// </remarks>
public sealed unsafe class JsonColumnDecoder : IDisposable
{
    private readonly JsonDecoderOptions _options;
    private readonly FieldTable _fields;
    private readonly ColumnBuilder[] _builders;
    private readonly JsonValueReader[] _readers;

    // Which column came after column i (at i + 1) last time; records of one producer have one order.
    private readonly int[] _next;

    // The row for which a column was last set, plus one.
    private readonly long[] _seen;
    private readonly UnknownKeys _unknown = new();
    private byte* _closers;

    private byte* _record;
    private byte* _end;
    private int _capacity;
    private long _stamp;

    /// <exception cref="NotSupportedException">A column is nested or an interval: JSON text in a VARCHAR column is how those are read.</exception>
    public JsonColumnDecoder(Schema schema, JsonDecoderOptions? options = null, int capacity = 1024)
    {
        Schema = schema;
        _options = options ?? new JsonDecoderOptions();
        _builders = new ColumnBuilder[schema.Count];
        _readers = new JsonValueReader[schema.Count];
        _next = new int[schema.Count + 1];
        _seen = new long[schema.Count];
        for (var i = 0; i < _builders.Length; i++)
        {
            var field = schema[i];
            if (field.Type.Kind is TypeKind.Interval or TypeKind.List or TypeKind.Struct or TypeKind.Map or TypeKind.Null)
            {
                throw new NotSupportedException(
                    $"column '{field.Name}' of {field.Type} cannot be read from JSON; declare it VARCHAR to keep its JSON text");
            }
            _builders[i] = new ColumnBuilder(field.Type, capacity);
            var nested = field.Type.Kind == TypeKind.Utf8 && (_options.NestedTextColumns is null || _options.NestedTextColumns.Contains(field.Name));
            _readers[i] = new JsonValueReader(field, _builders[i], nested);
            _next[i] = i;
        }
        _next[^1] = -1;
        _fields = new FieldTable(schema);
        _closers = (byte*)NativeMemory.Alloc((nuint)Math.Max(1, _options.MaxDepth));
    }

    ~JsonColumnDecoder() => Free();

    public Schema Schema { get; }

    /// <summary>Records decoded since the last <see cref="Build"/>.</summary>
    public int RowCount { get; private set; }

    /// <summary>Appends the record as a row, or tells why not and appends nothing.</summary>
    public bool TryDecode(ReadOnlySpan<byte> record, out DecodeError error)
    {
        error = default;
        if (record.Length > _options.MaxRecordBytes)
        {
            error = new DecodeError(DecodeErrorKind.TooLong, -1, 0, JsonToken.None);
            return false;
        }
        if (!Hold(record) && !Utf8.IsValid(record))
        {
            error = new DecodeError(DecodeErrorKind.InvalidUtf8, -1, FirstInvalid(record), JsonToken.None);
            return false;
        }
        _stamp++;
        ScanFailure failure = default;
        var column = -1;
        if (ReadObject(ref column, ref failure))
        {
            RowCount++;
            return true;
        }
        var token = failure.Kind == DecodeErrorKind.MissingRequired && failure.At == _end ? JsonToken.None : JsonScan.TokenAt(failure.At, _end);
        error = new DecodeError(failure.Kind, column, (int)(failure.At - _record), token);
        _builders.CutTo(RowCount);
        return false;
    }

    /// <summary>The sentence for an error that this decoder gave.</summary>
    public string Render(DecodeError error, ReadOnlySpan<byte> record) => error.Render(Schema, record, _options);

    /// <summary>The rows so far as a batch that the caller owns; the decoder begins anew.</summary>
    public ColumnBatch Build()
    {
        var batch = _builders.BuildBatch(Schema, RowCount);
        RowCount = 0;
        return batch;
    }

    public void Dispose()
    {
        foreach (var builder in _builders)
            builder.Dispose();
        _fields.Dispose();
        Free();
        GC.SuppressFinalize(this);
    }

    private bool ReadObject(ref int column, ref ScanFailure failure)
    {
        var p = JsonScan.SkipWhitespace(_record);
        if (*p != '{')
        {
            // Told apart so that the reason helps: another JSON value, or no JSON at all.
            if (JsonScan.TryText(p, _end, _closers, _options.MaxDepth, ref failure))
                failure.Set(DecodeErrorKind.NotAnObject, p);
            return false;
        }
        p = JsonScan.SkipWhitespace(p + 1);
        var fields = 0;
        if (*p != '}')
        {
            p = ReadFields(p, ref fields, ref column, ref failure);
            if (p == null)
                return false;
        }
        p = JsonScan.SkipWhitespace(p + 1);
        if (p != _end)
        {
            failure.Set(DecodeErrorKind.NotJson, p);
            return false;
        }
        return fields == _builders.Length || FillAbsent(ref column, ref failure);
    }

    // From the first key to the closing brace.
    private byte* ReadFields(byte* p, ref int fields, ref int column, ref ScanFailure failure)
    {
        var before = -1;
        var unknown = 0;
        for (; ; )
        {
            column = -1;
            if (*p != '"')
                return failure.Set(DecodeErrorKind.NotJson, p);
            var key = p++;
            var found = _next[before + 1];
            if (found >= 0 && _fields.Match(found, p) is > 0 and var matched)
            {
                p += matched;
            }
            else
            {
                p = FindColumn(p, out found, ref failure);
                if (p == null)
                    return null;
                if (found >= 0)
                    _next[before + 1] = found;
            }
            var keyEnd = p;
            if (*p != ':' && *(p = JsonScan.SkipWhitespace(p)) != ':')
                return failure.Set(DecodeErrorKind.NotJson, p);
            p = JsonScan.SkipWhitespace(p + 1);
            if (found >= 0)
            {
                if (_seen[found] == _stamp)
                    return failure.Set(DecodeErrorKind.DuplicateKey, key);
                _seen[found] = _stamp;
                fields++;
                column = found;
                p = _readers[found].Read(p, _closers, _options.MaxDepth, ref failure);
                before = found;
            }
            else
            {
                if (_options.RefuseUnknownFields)
                    return failure.Set(DecodeErrorKind.UnknownField, key);
                if (!_unknown.Add(key + 1, keyEnd - 1, unknown++))
                    return failure.Set(DecodeErrorKind.DuplicateKey, key);
                p = JsonScan.SkipValue(p, _closers, 1, _options.MaxDepth, ref failure);
            }
            if (p == null)
                return null;
            p = JsonScan.SkipWhitespace(p);
            if (*p == '}')
                return p;
            column = -1;
            if (*p != ',')
                return failure.Set(DecodeErrorKind.NotJson, p);
            p = JsonScan.SkipWhitespace(p + 1);
        }
    }

    // p is behind the key's opening quote; returns what is behind the closing one.
    private byte* FindColumn(byte* p, out int column, ref ScanFailure failure)
    {
        column = -1;
        var stop = JsonScan.FindStringStop(p);
        if (*stop == '"')
        {
            column = _fields.Find(new ReadOnlySpan<byte>(p, (int)(stop - p)));
            return stop + 1;
        }
        var end = JsonScan.SkipString(stop, ref failure);
        if (end == null)
            return null;
        var name = new byte[end - 1 - p];
        fixed (byte* target = name)
            column = _fields.Find(name.AsSpan(0, JsonScan.Unescape(p, end - 1, target)));
        return end;
    }

    private bool FillAbsent(ref int column, ref ScanFailure failure)
    {
        for (var i = 0; i < _seen.Length; i++)
        {
            if (_seen[i] == _stamp)
                continue;
            if (!Schema[i].Nullable)
            {
                column = i;
                failure.Set(DecodeErrorKind.MissingRequired, _end);
                return false;
            }
            _builders[i].AppendNull();
        }
        return true;
    }

    // Copies the record to where zero bytes follow it, which spares every scan its bound. True when it is all ASCII, and so valid UTF-8.
    private bool Hold(ReadOnlySpan<byte> record)
    {
        if (record.Length + JsonScan.Padding > _capacity)
        {
            NativeMemory.Free(_record);
            _capacity = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)(record.Length + JsonScan.Padding + 4096));
            _record = (byte*)NativeMemory.Alloc((nuint)_capacity);
        }
        var end = _end = _record + record.Length;
        Vector256.Store(Vector256<byte>.Zero, end);
        Vector256.Store(Vector256<byte>.Zero, end + Vector256<byte>.Count);
        if (record.Length < Vector256<byte>.Count)
        {
            record.CopyTo(new Span<byte>(_record, record.Length));
            return Ascii.IsValid(record);
        }
        ref var source = ref MemoryMarshal.GetReference(record);
        var all = Vector256<byte>.Zero;
        var last = record.Length - Vector256<byte>.Count;
        for (var at = 0; at < last; at += Vector256<byte>.Count)
        {
            var bytes = Vector256.LoadUnsafe(ref source, (nuint)at);
            all |= bytes;
            Vector256.Store(bytes, _record + at);
        }
        var tail = Vector256.LoadUnsafe(ref source, (nuint)last);
        Vector256.Store(tail, _record + last);
        return (all | tail).ExtractMostSignificantBits() == 0;
    }

    private static int FirstInvalid(ReadOnlySpan<byte> record)
    {
        var at = 0;
        while (at < record.Length && Rune.DecodeFromUtf8(record[at..], out _, out var consumed) == System.Buffers.OperationStatus.Done)
            at += consumed;
        return at;
    }

    private void Free()
    {
        NativeMemory.Free(_record);
        NativeMemory.Free(_closers);
        _record = _closers = null;
    }
}
