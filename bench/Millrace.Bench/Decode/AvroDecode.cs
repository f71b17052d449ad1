using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using Millrace.Columnar;
using Millrace.Columnar.Avro;
using Millrace.Columnar.Json;

namespace Millrace.Bench.Decode;

/// <summary>The benchmark's records as Avro: made from the columns that the JSON decoder gives, so that both decoders end in the same rows.</summary>
internal sealed class AvroDecode
{
    private const int BatchRows = 4096;

    private readonly byte[] _content;
    private readonly (int Start, int Length)[] _records;

    private AvroDecode(Schema columns, string schema, byte[] content, (int Start, int Length)[] records)
    {
        (Columns, SchemaText, _content, _records) = (columns, schema, content, records);
    }

    public Schema Columns { get; }

    public string SchemaText { get; }

    public int Count => _records.Length;

    public long Bytes => _content.Length;

    public static AvroDecode Of(EventFile events, Schema columns)
    {
        using var decoder = new JsonColumnDecoder(columns, capacity: BatchRows);
        var rows = new AvroRowWriter(columns, "bench.retail");
        var output = new AvroWriter(1 << 20);
        var records = new List<(int, int)>(events.Count);
        for (var i = 0; i < events.Count; i++)
        {
            if (!decoder.TryDecode(events[i], out var error))
                throw new InvalidDataException(decoder.Render(error, events[i]));
            if (decoder.RowCount < BatchRows && i + 1 < events.Count)
                continue;
            using var batch = decoder.Build();
            for (var row = 0; row < batch.RowCount; row++)
            {
                var start = output.Length;
                rows.Write(batch, row, output);
                records.Add((start, output.Length - start));
            }
        }
        return new AvroDecode(columns, rows.SchemaText, output.Written.ToArray(), [.. records]);
    }

    /// <summary>Decodes all records into columns; gives the rows.</summary>
    public long Run()
    {
        using var decoder = new AvroColumnDecoder(Columns, capacity: BatchRows);
        var plan = decoder.Plan(AvroSchema.Parse(SchemaText));
        long rows = 0;
        foreach (var (start, length) in _records)
        {
            if (!decoder.TryDecode(plan, _content.AsSpan(start, length), out var reason))
                throw new InvalidDataException(reason);
            if (decoder.RowCount < BatchRows)
                continue;
            using var batch = decoder.Build();
            rows += batch.RowCount;
        }
        return rows + decoder.RowCount;
    }

    /// <summary>Managed bytes a row that decoding allocates once its batches have their size.</summary>
    public double AllocatedPerRow()
    {
        using var decoder = new AvroColumnDecoder(Columns, capacity: BatchRows);
        var plan = decoder.Plan(AvroSchema.Parse(SchemaText));
        long before = 0, counted = 0;
        for (var i = 0; i < _records.Length; i++)
        {
            if (i == BatchRows * 2)
                before = GC.GetAllocatedBytesForCurrentThread();
            decoder.TryDecode(plan, _content.AsSpan(_records[i].Start, _records[i].Length), out _);
            counted += i >= BatchRows * 2 ? 1 : 0;
            if (decoder.RowCount == BatchRows)
                decoder.Build().Dispose();
        }
        return counted == 0 ? 0 : (GC.GetAllocatedBytesForCurrentThread() - before) / (double)counted;
    }

    /// <summary>Seconds that the npm package avsc takes for the same records on one core; null where node or the package is missing.</summary>
    public double? RunAvsc(int rounds)
    {
        var packages = Path.Combine(EventFile.Folder(), "tests", "Millrace.Interop", "npm", "node_modules");
        if (!Directory.Exists(Path.Combine(packages, "avsc")))
            return null;
        var file = Path.Combine(Path.GetTempPath(), $"millrace-decode-{Environment.ProcessId}.avro-frames");
        try
        {
            using (var output = File.Create(file))
            {
                Span<byte> head = stackalloc byte[4];
                foreach (var (start, length) in _records)
                {
                    BinaryPrimitives.WriteInt32LittleEndian(head, length);
                    output.Write(head);
                    output.Write(_content, start, length);
                }
            }
            var info = new ProcessStartInfo("node") { RedirectStandardOutput = true, RedirectStandardInput = true };
            info.Environment["NODE_PATH"] = packages;
            info.ArgumentList.Add("-e");
            info.ArgumentList.Add(Script);
            info.ArgumentList.Add(file);
            info.ArgumentList.Add(SchemaText);
            info.ArgumentList.Add(rounds.ToString(CultureInfo.InvariantCulture));
            using var node = Process.Start(info)!;
            node.StandardInput.Close();
            var answer = node.StandardOutput.ReadToEnd().Trim();
            node.WaitForExit();
            return double.TryParse(answer, CultureInfo.InvariantCulture, out var seconds) ? seconds : null;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }
        finally
        {
            File.Delete(file);
        }
    }

    // Processor time of the best round, as for the others.
    private const string Script = """
        const fs = require('fs'), avro = require('avsc');
        const [file, schema, rounds] = process.argv.slice(1);
        const type = avro.Type.forSchema(JSON.parse(schema));
        const bytes = fs.readFileSync(file), records = [];
        for (let at = 0; at < bytes.length;) { const n = bytes.readInt32LE(at); records.push(bytes.subarray(at + 4, at + 4 + n)); at += 4 + n; }
        let best = Infinity, seen = 0;
        for (let round = 0; round < Number(rounds); round++) {
          const before = process.cpuUsage();
          for (const record of records) seen += type.fromBuffer(record) === null ? 0 : 1;
          const used = process.cpuUsage(before);
          best = Math.min(best, (used.user + used.system) / 1e6);
        }
        console.log(seen > 0 ? best : 'nothing');
        """;
}
