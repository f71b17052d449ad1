using System.Text;
using System.Text.Json;
using Millrace.Columnar;
using Millrace.Storage.Checksums;
using Millrace.Storage.Files;
using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Jobs;

/// <summary>What is kept of a job: its file, the columns that were sampled for it, and whether it shall run.</summary>
internal sealed record JobRecord(string FileName, string Yaml, DateTimeOffset SubmittedAt, bool Wanted, IReadOnlyDictionary<string, Schema> Schemas);

/// <summary>Keeps jobs in <c>DATA/jobs/NAME/job</c>, each one file that is replaced whole: a head line with version, length and CRC-32C, then JSON.</summary>
internal sealed class JobStore
{
    private const string FileName = "job";
    private const string Magic = "millrace-job";
    private const string Version = "1";

    private readonly IFileSystem _files;
    private readonly string _folder;

    public JobStore(IFileSystem files, string dataFolder)
    {
        _files = files;
        _folder = Path.Combine(dataFolder, "jobs");
        files.CreateFolder(_folder);
        files.FlushFolder(dataFolder);
    }

    public IReadOnlyList<string> List() => _files.ListFolders(_folder).Where(name => _files.FileExists(PathOf(name))).ToArray();

    public void Write(string name, JobRecord record)
    {
        var folder = Path.Combine(_folder, name);
        if (!_files.FolderExists(folder))
        {
            _files.CreateFolder(folder);
            _files.FlushFolder(_folder);
        }
        var body = JsonSerializer.SerializeToUtf8Bytes(new Stored(
            record.FileName, record.Yaml, record.SubmittedAt, record.Wanted,
            record.Schemas.ToDictionary(s => s.Key, s => s.Value.Fields.Select(f => new StoredColumn(f.Name, f.Type.SqlName)).ToArray())));
        var head = Encoding.ASCII.GetBytes($"{Magic} {Version} {body.Length} {Crc32C.Compute(body):x8}\n");
        DurableFile.Replace(_files, PathOf(name), [.. head, .. body]);
    }

    /// <exception cref="InvalidDataException">The file is not what was written.</exception>
    public JobRecord Read(string name)
    {
        var path = PathOf(name);
        var content = DurableFile.ReadAll(_files, path);
        var end = content.AsSpan().IndexOf((byte)'\n');
        var head = end < 0 ? [] : Encoding.ASCII.GetString(content, 0, end).Split(' ');
        if (head.Length != 4 || head[0] != Magic)
            throw Corrupt(path, 0, "it does not begin as a job does");
        if (head[1] != Version)
            throw Corrupt(path, 0, $"it is of version {head[1]} and this program reads version {Version}");
        var body = content.AsSpan(end + 1);
        if (head[2] != body.Length.ToString())
            throw Corrupt(path, end + 1, $"it has {body.Length} bytes behind its head, which says {head[2]}");
        if (head[3] != $"{Crc32C.Compute(body):x8}")
            throw Corrupt(path, end + 1, "its checksum does not match");
        var stored = JsonSerializer.Deserialize<Stored>(body) ?? throw Corrupt(path, end + 1, "it is empty");
        var schemas = stored.Schemas.ToDictionary(s => s.Key, s => new Schema(s.Value.Select(c => new Field(c.Name, TypeOf(path, c))).ToArray()));
        return new JobRecord(stored.FileName, stored.Yaml, stored.SubmittedAt, stored.Wanted, schemas);
    }

    public void Delete(string name)
    {
        _files.DeleteFolder(Path.Combine(_folder, name));
        _files.FlushFolder(_folder);
    }

    private string PathOf(string name) => Path.Combine(_folder, name, FileName);

    private static DataType TypeOf(string path, StoredColumn column) =>
        TypeNames.TryParse(column.Type, out var type) ? type : throw Corrupt(path, 0, $"column {column.Name} has the unknown type {column.Type}");

    private static InvalidDataException Corrupt(string path, int offset, string reason) =>
        new($"{path} at byte {offset}: {reason}; submit the pipeline file again, or delete the folder to forget the job");

    private sealed record Stored(
        string FileName, string Yaml, DateTimeOffset SubmittedAt, bool Wanted, IReadOnlyDictionary<string, StoredColumn[]> Schemas);

    private sealed record StoredColumn(string Name, string Type);
}
