namespace Millrace.Schemas;

/// <summary>A request that the registry refuses, with Confluent's error code; the first three digits are the HTTP status.</summary>
public sealed class RegistryException(int code, string message) : Exception(message)
{
    public int Code => code;

    public int Status => code < 1000 ? code : code / 100;

    internal static RegistryException SubjectNotFound(string subject) => new(40401, $"Subject '{subject}' not found.");

    internal static RegistryException VersionNotFound(int version) => new(40402, $"Version {version} not found.");

    internal static RegistryException SchemaNotFound(object? id = null) => new(40403, id is null ? "Schema not found" : $"Schema {id} not found");

    internal static RegistryException SubjectSoftDeleted(string subject) =>
        new(40404, $"Subject '{subject}' was soft deleted. Set permanent=true to delete permanently");

    internal static RegistryException SubjectNotSoftDeleted(string subject) =>
        new(40405, $"Subject '{subject}' was not deleted first before being permanently deleted");

    internal static RegistryException VersionSoftDeleted(string subject, int version) =>
        new(40406, $"Subject '{subject}' Version {version} was soft deleted. Set permanent=true to delete permanently");

    internal static RegistryException VersionNotSoftDeleted(string subject, int version) =>
        new(40407, $"Subject '{subject}' Version {version} was not deleted first before being permanently deleted");

    internal static RegistryException NoSubjectCompatibility(string subject) =>
        new(40408, $"Subject '{subject}' does not have subject-level compatibility configured");

    internal static RegistryException NoSubjectMode(string subject) => new(40409, $"Subject '{subject}' does not have subject-level mode configured");

    internal static RegistryException InvalidSchema(string details) => new(42201, $"Invalid schema: {details}");

    internal static RegistryException InvalidVersion(string written) => new(
        42202, $"The specified version '{written}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\"");

    internal static RegistryException InvalidLevel() => new(
        42203,
        "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive");

    internal static RegistryException InvalidMode() => new(42204, "Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, and IMPORT");

    internal static RegistryException NotPermitted(string message) => new(42205, message);

    internal static RegistryException ReferenceExists(string subject, int version) => new(
        42206, $"One or more references exist to the schema {{magic=1,keytype=SCHEMA,subject={subject},version={version}}}.");

    internal static RegistryException ContextNotEmpty(string context) => new(42211, $"The specified context '{context}' is not empty.");

    internal static RegistryException ReadOnly(string subject) =>
        NotPermitted($"Subject {subject} in context {QualifiedSubject.Prefix(QualifiedSubject.ContextOf(subject))} is in read-only mode");

    internal static RegistryException InvalidSubject(string subject, string why) => new(42208, $"The specified subject '{subject}' is not a valid: {why}");

    internal static RegistryException Incompatible(string subject, IEnumerable<string> details) => new(
        409, $"Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{string.Join(", ", details)}]");
}
